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

    private let bytes: [UInt8]
    /// The index of the next byte.
    public private(set) var position: Int
    private let end: Int
    private var depth = 0
    private var emptyElements = 0

    /// - Parameters:
    ///   - bytes: the data.
    ///   - start: where the value begins.
    public init(_ bytes: [UInt8], from start: Int = 0) {
        precondition(start >= 0 && start <= bytes.count, "byte \(start) of \(bytes.count)")
        self.bytes = bytes
        position = start
        end = bytes.count
    }

    /// How many bytes have not been read.
    public var remaining: Int { end - position }

    /// - Throws: ``AvroError`` with `trailingBytes` unless everything has been read.
    public func finish() throws(AvroError) {
        guard position == end else {
            throw AvroError(.trailingBytes, "\(remaining) bytes are left after the value, which ends at byte \(position)")
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

    public mutating func readLong() throws(AvroError) -> Int64 {
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
        let start = position
        let length = try readLength()
        let range = position..<position + length
        guard let string = String(validating: bytes[range], as: UTF8.self) else {
            throw AvroError(.invalidUTF8, "a string of \(length) bytes is not UTF-8, at byte \(start)")
        }
        position += length
        return string
    }

    /// - Parameter size: the size that the schema declares.
    public mutating func readFixed(size: Int) throws(AvroError) -> [UInt8] {
        guard size <= remaining else { throw endOfData(needed: size) }
        defer { position += size }
        return Array(bytes[position..<position + size])
    }

    /// - Parameter count: how many symbols the schema has.
    /// - Returns: the symbol's place in the schema, below `count`.
    public mutating func readEnumeration(count: Int) throws(AvroError) -> Int {
        try readIndex(below: count, what: "an enum symbol")
    }

    /// - Parameter count: how many branches the union has.
    /// - Returns: the branch's place in the union, below `count`.
    public mutating func readBranch(count: Int) throws(AvroError) -> Int {
        try readIndex(below: count, what: "a union branch")
    }

    /// A `timestamp-millis`.
    public mutating func readTimestamp() throws(AvroError) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: try readLong())
    }

    /// - Parameter element: reads one element.
    public mutating func readArray<Element>(
        _ element: (inout AvroReader) throws(AvroError) -> Element
    ) throws(AvroError) -> [Element] {
        var values: [Element] = []
        try readBlocks { (reader: inout AvroReader) throws(AvroError) in values.append(try element(&reader)) }
        return values
    }

    /// - Parameter element: reads the value of one entry. Of equal keys the last wins.
    public mutating func readMap<Element>(
        _ element: (inout AvroReader) throws(AvroError) -> Element
    ) throws(AvroError) -> [String: Element] {
        var values: [String: Element] = [:]
        try readBlocks { (reader: inout AvroReader) throws(AvroError) in
            let key = try reader.readString()
            values[key] = try element(&reader)
        }
        return values
    }

    /// A union of null and one other type.
    ///
    /// - Parameters:
    ///   - nullBranch: null's place in the union, 0 or 1.
    ///   - some: reads the value when it is not null.
    public mutating func readOptional<Wrapped>(
        nullBranch: Int, _ some: (inout AvroReader) throws(AvroError) -> Wrapped
    ) throws(AvroError) -> Wrapped? {
        try readBranch(count: 2) == nullBranch ? nil : try some(&self)
    }

    /// Reads a nested record, keeping count of the depth.
    public mutating func readRecord<Record: AvroSerializable>(_: Record.Type) throws(AvroError) -> Record {
        try nested { (reader: inout AvroReader) throws(AvroError) in try Record(from: &reader) }
    }

    /// Runs `body` one level deeper.
    mutating func nested<Value>(
        _ body: (inout AvroReader) throws(AvroError) -> Value
    ) throws(AvroError) -> Value {
        try enter()
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func enter() throws(AvroError) {
        guard depth < AvroReader.maximumDepth else {
            throw AvroError(
                .limitExceeded, "values nest deeper than \(AvroReader.maximumDepth) levels, at byte \(position)")
        }
        depth += 1
    }

    /// The blocks of an array or map: a count and that many items, until a count of 0. A negative count is followed
    /// by the block's size in bytes.
    mutating func readBlocks(_ item: (inout AvroReader) throws(AvroError) -> Void) throws(AvroError) {
        try enter()
        defer { depth -= 1 }
        while true {
            let start = position
            var count = try readLong()
            var blockEnd: Int?
            if count < 0 {
                guard count != .min else { throw AvroError(.malformed, "\(count) is no block count, at byte \(start)") }
                count = -count
                blockEnd = position + (try readLength())
            }
            if count == 0 { return }
            while count > 0 {
                let before = position
                try item(&self)
                if position == before {
                    emptyElements += 1
                    guard emptyElements <= AvroReader.maximumEmptyElements else {
                        throw AvroError(
                            .limitExceeded, "more than \(AvroReader.maximumEmptyElements) empty elements, at byte \(start)")
                    }
                }
                count -= 1
            }
            if let blockEnd, blockEnd != position {
                throw AvroError(.malformed, "a block ends at byte \(position), not at \(blockEnd) as it says")
            }
        }
    }

    private mutating func readByte() throws(AvroError) -> UInt8 {
        guard position < end else { throw endOfData(needed: 1) }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func readLength() throws(AvroError) -> Int {
        let start = position
        let length = try readLong()
        guard length >= 0 else { throw AvroError(.malformed, "the length \(length) is negative, at byte \(start)") }
        guard length <= Int64(remaining) else { throw endOfData(needed: length) }
        return Int(length)
    }

    private mutating func readIndex(below count: Int, what: String) throws(AvroError) -> Int {
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
        for index in 0..<byteCount { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += byteCount
        return value
    }

    private func endOfData(needed: some BinaryInteger) -> AvroError {
        AvroError(.endOfData, "the data ends too early: \(needed) bytes needed at byte \(position), \(remaining) left")
    }
}
