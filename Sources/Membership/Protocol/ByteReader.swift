/// Why bytes from a peer are not a message. It ends the connection and nothing else.
package struct CodecError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// A version of the encoding that this node does not know.
        case version
        /// The bytes end within a value.
        case truncated
        /// Bytes are left over.
        case trailing
        /// A value that is not allowed.
        case malformed
        /// A count or length beyond its limit.
        case tooLarge
    }

    package var kind: Kind
    package var message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { "\(kind.rawValue): \(message)" }
}

/// Reads values from bytes that a stranger may have written: every read is checked, and nothing is allocated by a
/// size that the bytes claim unless the bytes are there.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func byte() throws(CodecError) -> UInt8 {
        guard position < bytes.count else { throw CodecError(.truncated, "no byte at \(position)") }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func uint16() throws(CodecError) -> UInt16 {
        guard remaining >= 2 else { throw CodecError(.truncated, "2 bytes wanted at \(position), \(remaining) left") }
        defer { position += 2 }
        return UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt16.self))
    }

    mutating func uint32() throws(CodecError) -> UInt32 {
        guard remaining >= 4 else { throw CodecError(.truncated, "4 bytes wanted at \(position), \(remaining) left") }
        defer { position += 4 }
        return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }

    mutating func uint64() throws(CodecError) -> UInt64 {
        guard remaining >= 8 else { throw CodecError(.truncated, "8 bytes wanted at \(position), \(remaining) left") }
        defer { position += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    /// LEB128, at most ten bytes.
    mutating func variable() throws(CodecError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            if shift == 63, next > 1 { throw CodecError(.malformed, "a number of more than 64 bits at \(position)") }
            value |= UInt64(next & 0x7f) << shift
            if next & 0x80 == 0 { return value }
            shift += 7
        }
    }

    /// A generation: milliseconds since 1970, raised by one now and then. What is far beyond that could not be raised.
    mutating func generation() throws(CodecError) -> UInt64 {
        let value = try variable()
        guard value <= MessageCodec.maximumGeneration else { throw CodecError(.tooLarge, "generation \(value)") }
        return value
    }

    mutating func variable32() throws(CodecError) -> UInt32 {
        let value = try variable()
        guard let narrow = UInt32(exactly: value) else { throw CodecError(.tooLarge, "\(value) for 32 bits") }
        return narrow
    }

    /// A count of elements of at least `size` bytes each: refused unless that many bytes are left.
    mutating func count(ofAtLeast size: Int, limit: Int) throws(CodecError) -> Int {
        let claimed = try variable()
        guard claimed <= UInt64(limit) else { throw CodecError(.tooLarge, "\(claimed) elements, limit \(limit)") }
        guard Int(claimed) * size <= remaining else {
            throw CodecError(.truncated, "\(claimed) elements in \(remaining) bytes")
        }
        return Int(claimed)
    }

    /// A length byte and so many bytes of UTF-8.
    mutating func text(allowEmpty: Bool = false) throws(CodecError) -> String {
        let length = Int(try byte())
        guard length > 0 || allowEmpty else { throw CodecError(.malformed, "an empty text at \(position)") }
        guard length <= remaining else { throw CodecError(.truncated, "\(length) bytes of text, \(remaining) left") }
        let slice = UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw CodecError(.malformed, "text that is not UTF-8 at \(position)")
        }
        position += length
        return text
    }
}

/// Writes what ``ByteReader`` reads.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func fixed(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func variable(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Cuts text of more than 255 bytes, at a character's edge, so that the writer cannot make bytes that no
    /// reader takes.
    mutating func text(_ value: String) {
        var value = Substring(value)
        while value.utf8.count > 255 { value.removeLast() }
        bytes.append(UInt8(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    static func size(ofVariable value: UInt64) -> Int { max(1, (64 - value.leadingZeroBitCount + 6) / 7) }
}
