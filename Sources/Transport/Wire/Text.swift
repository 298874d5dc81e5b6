package import NIOCore

/// Strings on the wire: a length of one or two bytes, then UTF-8 that is checked on the way in.
extension ByteBuffer {
    /// Writes a text of at most `limit` (≤ 255) bytes; what is beyond is cut between two characters.
    package mutating func writeShortText(_ text: String, limit: Int = 255) {
        let text = text.cut(toUTF8Length: limit)
        writeInteger(UInt8(text.utf8.count))
        writeString(text)
    }

    /// Writes a text of at most `limit` (≤ 65,535) bytes; what is beyond is cut between two characters.
    package mutating func writeText(_ text: String, limit: Int = 65_535) {
        let text = text.cut(toUTF8Length: limit)
        writeInteger(UInt16(text.utf8.count))
        writeString(text)
    }

    /// - Returns: `nil` if the bytes end early, the length is not in `lengths`, or they are not UTF-8.
    package mutating func readShortText(_ lengths: ClosedRange<Int>) -> String? {
        guard let length = readInteger(as: UInt8.self), lengths.contains(Int(length)) else { return nil }
        return readUTF8(length: Int(length))
    }

    /// - Returns: `nil` if the bytes end early, the length is not in `lengths`, or they are not UTF-8.
    package mutating func readText(_ lengths: ClosedRange<Int>) -> String? {
        guard let length = readInteger(as: UInt16.self), lengths.contains(Int(length)) else { return nil }
        return readUTF8(length: Int(length))
    }

    private mutating func readUTF8(length: Int) -> String? {
        guard length <= readableBytes else { return nil }
        let text = withUnsafeReadableBytes { String(validating: $0.prefix(length), as: UTF8.self) }
        moveReaderIndex(forwardBy: length)
        return text
    }
}

extension String {
    /// The longest prefix of whole Unicode scalars that takes at most `limit` bytes of UTF-8.
    package func cut(toUTF8Length limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: limit)
        while end > utf8.startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
