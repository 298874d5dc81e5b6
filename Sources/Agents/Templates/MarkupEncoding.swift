/// Encoding of text inside prompt markup: what a user or a function supplies must not be able to forge a
/// `<message>` element.
enum MarkupEncoding {
    /// Replaces `& < > " '` by entities.
    static func encode(_ text: String) -> String {
        guard text.utf8.contains(where: { entity(of: $0) != nil }) else { return text }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + text.utf8.count / 8)
        for byte in text.utf8 {
            if let entity = entity(of: byte) { bytes += entity.utf8 } else { bytes.append(byte) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The reverse of ``encode(_:)``; knows the five named entities and numeric ones. Anything else that begins
    /// with `&` stays as it is.
    static func decode(_ text: some StringProtocol) -> String {
        let source = Array(text.utf8)
        guard source.contains(UInt8(ascii: "&")) else { return String(text) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.count)
        var cursor = 0
        while cursor < source.count {
            if source[cursor] == UInt8(ascii: "&"), let (scalar, length) = entity(in: source[cursor...]) {
                bytes += String(Character(scalar)).utf8
                cursor += length
            } else {
                bytes.append(source[cursor])
                cursor += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func entity(of byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "&"): "&amp;"
        case UInt8(ascii: "<"): "&lt;"
        case UInt8(ascii: ">"): "&gt;"
        case UInt8(ascii: "\""): "&quot;"
        case UInt8(ascii: "'"): "&#39;"
        default: nil
        }
    }

    /// The longest entity that is looked for, with `&` and `;`.
    private static let maximumEntityLength = 10

    private static func entity(in bytes: ArraySlice<UInt8>) -> (scalar: Unicode.Scalar, length: Int)? {
        let window = bytes.prefix(maximumEntityLength)
        guard let end = window.firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let name = String(decoding: window[(window.startIndex + 1)..<end], as: UTF8.self)
        let length = end - window.startIndex + 1
        switch name {
        case "amp": return ("&", length)
        case "lt": return ("<", length)
        case "gt": return (">", length)
        case "quot": return ("\"", length)
        case "apos": return ("'", length)
        default: break
        }
        guard name.hasPrefix("#") else { return nil }
        let digits = name.dropFirst()
        let isHexadecimal = digits.first == "x" || digits.first == "X"
        let value = isHexadecimal ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits, radix: 10)
        guard let value, let scalar = Unicode.Scalar(value) else { return nil }
        return (scalar, length)
    }
}
