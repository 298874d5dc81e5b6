public import OrchestraCore

/// Appends values in Avro's binary form.
public struct AvroWriter: Sendable {
    /// What has been written so far.
    @inlinable public var bytes: [UInt8] { buffer }
    // Generated code in other modules is specialised over this, so the compiler must see it there.
    @usableFromInline var buffer: [UInt8]
    private var failure: AvroError?

    /// - Parameter capacity: bytes to reserve beforehand.
    public init(capacity: Int = 0) {
        buffer = []
        buffer.reserveCapacity(capacity)
    }

    /// - Returns: everything that has been written.
    /// - Throws: ``AvroError`` with `malformed` when one of the values was none of its schema (a fixed value of the
    ///   wrong size).
    public func finish() throws(AvroError) -> [UInt8] {
        if let failure { throw failure }
        return buffer
    }

    public mutating func writeNull() {}

    @inlinable
    public mutating func writeBoolean(_ value: Bool) { buffer.append(value ? 1 : 0) }

    @inlinable
    public mutating func writeInt(_ value: Int32) { writeLong(Int64(value)) }

    @inlinable
    public mutating func writeLong(_ value: Int64) {
        var rest = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        while rest > 0x7f {
            buffer.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.append(UInt8(truncatingIfNeeded: rest))
    }

    public mutating func writeFloat(_ value: Float) {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { buffer.append(contentsOf: $0) }
    }

    public mutating func writeDouble(_ value: Double) {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { buffer.append(contentsOf: $0) }
    }

    public mutating func writeBytes(_ value: [UInt8]) {
        writeLong(Int64(value.count))
        buffer.append(contentsOf: value)
    }

    public mutating func writeString(_ value: String) {
        var value = value
        // The text's own bytes when it has them in one piece, as all texts made in Swift do.
        value.withUTF8 { text in
            writeLong(Int64(text.count))
            buffer.append(contentsOf: text)
        }
    }

    /// - Parameter size: the size that the schema declares; a value of another size makes ``finish()`` throw.
    public mutating func writeFixed(_ value: [UInt8], size: Int) {
        if value.count != size {
            failure = AvroError(.malformed, "a fixed value has \(value.count) bytes, its schema says \(size)")
        }
        buffer.append(contentsOf: value)
    }

    /// - Parameter index: the symbol's place in the schema, from 0.
    @inlinable
    public mutating func writeEnumeration(_ index: Int) { writeLong(Int64(index)) }

    /// A `timestamp-millis`.
    @inlinable
    public mutating func writeTimestamp(_ value: Timestamp) { writeLong(value.millisecondsSinceEpoch) }

    /// One block with all elements.
    @inlinable
    public mutating func writeArray<Element>(_ values: [Element], _ element: (inout AvroWriter, Element) -> Void) {
        if !values.isEmpty {
            writeLong(Int64(values.count))
            for value in values { element(&self, value) }
        }
        buffer.append(0)
    }

    /// One block with all entries, in the order of their keys, so that equal maps have equal bytes.
    @inlinable
    public mutating func writeMap<Element>(
        _ values: [String: Element], _ element: (inout AvroWriter, Element) -> Void
    ) {
        if !values.isEmpty {
            writeLong(Int64(values.count))
            for (key, value) in values.sorted(by: AvroWriter.precedes) {
                writeString(key)
                element(&self, value)
            }
        }
        buffer.append(0)
    }

    /// A union of null and one other type.
    ///
    /// - Parameter nullBranch: null's place in the union, 0 or 1.
    @inlinable
    public mutating func writeOptional<Wrapped>(
        _ value: Wrapped?, nullBranch: Int, _ some: (inout AvroWriter, Wrapped) -> Void
    ) {
        guard let value else { return writeLong(Int64(nullBranch)) }
        writeLong(Int64(1 - nullBranch))
        some(&self, value)
    }

    /// One byte that is not Avro.
    mutating func writeRaw(_ byte: UInt8) { buffer.append(byte) }

    /// The order in which the entries of a map are written.
    @inlinable
    static func precedes<Element>(_ left: (key: String, value: Element), _ right: (key: String, value: Element)) -> Bool
    {
        left.key.utf8.lexicographicallyPrecedes(right.key.utf8)
    }
}
