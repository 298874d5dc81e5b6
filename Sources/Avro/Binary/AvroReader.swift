public import OrchestraCore

/// Reads values in Avro's binary form from bytes that nobody vouches for.
///
/// Every length is checked against what is left before anything is allocated, counts and nesting are bounded,
/// and whatever the schema does not allow throws ``AvroError``.
public struct AvroReader: Sendable {
    /// How deep records, arrays and maps may nest.
    public static let maximumDepth = 64
    /// How many elements that take no bytes (null, an empty record) one message may hold in its arrays.
    public static let maximumEmptyElements = 65_536

    // Generated code in other modules is specialised over these, so the compiler must see them there.
    @usableFromInline let bytes: [UInt8]
    @usableFromInline let end: Int
    @usableFromInline var offset: Int
    @usableFromInline var depth = 0
    @usableFromInline var emptyElements = 0

    /// - Parameters:
    ///   - bytes: the data.
    ///   - start: where the value begins.
    public init(_ bytes: [UInt8], from start: Int = 0) {
        precondition(start >= 0 && start <= bytes.count, "byte \(start) of \(bytes.count)")
        self.bytes = bytes
        offset = start
        end = bytes.count
    }

    /// The index of the next byte.
    @inlinable public var position: Int { offset }

    /// How many bytes have not been read.
    @inlinable public var remaining: Int { end - offset }

    /// - Throws: ``AvroError`` with `trailingBytes` unless everything has been read.
    public func finish() throws(AvroError) {
        guard position == end else {
            throw AvroError(
                .trailingBytes, "\(remaining) bytes are left after the value, which ends at byte \(position)")
        }
    }

    public mutating func readNull() {}

    public mutating func readBoolean() throws(AvroError) -> Bool {
        switch try readByte() {
        case 0: return false
        case 1: return true
        case let byte: throw AvroError(.malformed, "\(byte) is no boolean, at byte \(position - 1)")
        }
    }

    public mutating func readInt() throws(AvroError) -> Int32 {
        let start = position
        let value = try readLong()
        guard let int = Int32(exactly: value) else {
            throw AvroError(.malformed, "\(value) does not fit an int, at byte \(start)")
        }
        return int
    }

    @inlinable
    public mutating func readLong() throws(AvroError) -> Int64 {
        // Most numbers are lengths and counts of one byte.
        if offset < end, bytes[offset] < 0x80 {
            let value = Int64(bytes[offset])
            offset += 1
            return (value >> 1) ^ -(value & 1)
        }
        return try readLongNumber()
    }

    @usableFromInline
    mutating func readLongNumber() throws(AvroError) -> Int64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        let start = position
        while true {
            let byte = try readByte()
            if shift == 63 && byte > 1 {
                throw AvroError(.malformed, "a number is longer than 64 bits, at byte \(start)")
            }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    public mutating func readFloat() throws(AvroError) -> Float {
        Float(bitPattern: UInt32(truncatingIfNeeded: try readLittleEndian(byteCount: 4)))
    }

    public mutating func readDouble() throws(AvroError) -> Double {
        Double(bitPattern: try readLittleEndian(byteCount: 8))
    }

    public mutating func readBytes() throws(AvroError) -> [UInt8] {
        try readFixed(size: try readLength())
    }

    public mutating func readString() throws(AvroError) -> String {
        let length = try readLength()
        let start = offset
        let text = bytes.withUnsafeBufferPointer { buffer -> String? in
            let units = UnsafeBufferPointer(rebasing: buffer[start..<start + length])
            // ASCII needs no check, and the general one takes several times as long.
            if units.reduce(0, |) < 0x80 { return String(decoding: units, as: UTF8.self) }
            return String(validating: units, as: UTF8.self)
        }
        guard let text else {
            throw AvroError(.invalidUTF8, "a string of \(length) bytes is not UTF-8, at byte \(start)")
        }
        offset += length
        return text
    }

    /// - Parameter size: the size that the schema declares.
    public mutating func readFixed(size: Int) throws(AvroError) -> [UInt8] {
        guard size <= remaining else { throw endOfData(needed: size) }
        defer { offset += size }
        return Array(bytes[offset..<offset + size])
    }

    /// - Parameter count: how many symbols the schema has.
    /// - Returns: the symbol's place in the schema, below `count`.
    @inlinable
    public mutating func readEnumeration(count: Int) throws(AvroError) -> Int {
        try readIndex(below: count, what: "an enum symbol")
    }

    /// - Parameter count: how many branches the union has.
    /// - Returns: the branch's place in the union, below `count`.
    @inlinable
    public mutating func readBranch(count: Int) throws(AvroError) -> Int {
        try readIndex(below: count, what: "a union branch")
    }

    /// A `timestamp-millis`.
    @inlinable
    public mutating func readTimestamp() throws(AvroError) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: try readLong())
    }

    /// - Parameter element: reads one element.
    @inlinable
    public mutating func readArray<Element>(
        _ element: (inout AvroReader) throws(AvroError) -> Element
    ) throws(AvroError) -> [Element] {
        var values: [Element] = []
        try readBlocks { (reader: inout AvroReader) throws(AvroError) in values.append(try element(&reader)) }
        return values
    }

    /// - Parameter element: reads the value of one entry. A key that occurs twice is an error.
    @inlinable
    public mutating func readMap<Element>(
        _ element: (inout AvroReader) throws(AvroError) -> Element
    ) throws(AvroError) -> [String: Element] {
        var values: [String: Element] = [:]
        try readBlocks { (reader: inout AvroReader) throws(AvroError) in
            let key = try reader.readString()
            guard values.updateValue(try element(&reader), forKey: key) == nil else { throw reader.repeatedKey(key) }
        }
        return values
    }

    @usableFromInline
    func repeatedKey(_ key: String) -> AvroError {
        AvroError(.malformed, "a map has the key \"\(key.prefix(100))\" twice, before byte \(position)")
    }

    /// A union of null and one other type.
    ///
    /// - Parameters:
    ///   - nullBranch: null's place in the union, 0 or 1.
    ///   - some: reads the value when it is not null.
    @inlinable
    public mutating func readOptional<Wrapped>(
        nullBranch: Int, _ some: (inout AvroReader) throws(AvroError) -> Wrapped
    ) throws(AvroError) -> Wrapped? {
        try readBranch(count: 2) == nullBranch ? nil : try some(&self)
    }

    /// Reads a nested record, keeping count of the depth.
    @inlinable
    public mutating func readRecord<Record: AvroSerializable>(_: Record.Type) throws(AvroError) -> Record {
        try nested { (reader: inout AvroReader) throws(AvroError) in try Record(from: &reader) }
    }

    /// Runs `body` one level deeper.
    @inlinable
    mutating func nested<Value>(
        _ body: (inout AvroReader) throws(AvroError) -> Value
    ) throws(AvroError) -> Value {
        try enter()
        defer { depth -= 1 }
        return try body(&self)
    }

    @usableFromInline
    mutating func enter() throws(AvroError) {
        guard depth < AvroReader.maximumDepth else {
            throw AvroError(
                .limitExceeded, "values nest deeper than \(AvroReader.maximumDepth) levels, at byte \(position)")
        }
        depth += 1
    }

    /// The blocks of an array or map: a count and that many items, until a count of 0. A negative count is followed
    /// by the block's size in bytes.
    @inlinable
    mutating func readBlocks(_ item: (inout AvroReader) throws(AvroError) -> Void) throws(AvroError) {
        try enter()
        defer { depth -= 1 }
        while true {
            let start = offset
            var count = try readLong()
            var blockEnd: Int?
            if count < 0 {
                count = try blockCount(count, at: start)
                let size = try readLength()
                blockEnd = offset + size
            }
            if count == 0 { return }
            while count > 0 {
                let before = offset
                try item(&self)
                if offset == before { try countEmptyElement() }
                count -= 1
            }
            if let blockEnd, blockEnd != offset { throw wrongBlockEnd(blockEnd) }
        }
    }

    @usableFromInline
    func blockCount(_ negative: Int64, at start: Int) throws(AvroError) -> Int64 {
        guard negative != .min else {
            throw AvroError(.malformed, "\(negative) is no block count, at byte \(start)")
        }
        return -negative
    }

    @usableFromInline
    func wrongBlockEnd(_ blockEnd: Int) -> AvroError {
        AvroError(.malformed, "a block ends at byte \(position), not at \(blockEnd) as it says")
    }

    @usableFromInline
    mutating func countEmptyElement() throws(AvroError) {
        emptyElements += 1
        guard emptyElements <= AvroReader.maximumEmptyElements else {
            throw AvroError(
                .limitExceeded, "more than \(AvroReader.maximumEmptyElements) empty elements, before byte \(position)")
        }
    }

    private mutating func readByte() throws(AvroError) -> UInt8 {
        guard position < end else { throw endOfData(needed: 1) }
        defer { offset += 1 }
        return bytes[offset]
    }

    @usableFromInline
    mutating func readLength() throws(AvroError) -> Int {
        let start = position
        let length = try readLong()
        guard length >= 0 else { throw AvroError(.malformed, "the length \(length) is negative, at byte \(start)") }
        guard length <= Int64(remaining) else { throw endOfData(needed: length) }
        return Int(length)
    }

    @usableFromInline
    mutating func readIndex(below count: Int, what: String) throws(AvroError) -> Int {
        let start = position
        let index = try readLong()
        guard index >= 0 && index < Int64(count) else {
            throw AvroError(.malformed, "\(index) is not \(what) of \(count), at byte \(start)")
        }
        return Int(index)
    }

    private mutating func readLittleEndian(byteCount: Int) throws(AvroError) -> UInt64 {
        guard byteCount <= remaining else { throw endOfData(needed: byteCount) }
        var value: UInt64 = 0
        for index in 0..<byteCount { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += byteCount
        return value
    }

    private func endOfData(needed: some BinaryInteger) -> AvroError {
        AvroError(.endOfData, "the data ends too early: \(needed) bytes needed at byte \(position), \(remaining) left")
    }
}
