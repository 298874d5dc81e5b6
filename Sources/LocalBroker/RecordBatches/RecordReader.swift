/// Walks over the uncompressed records of a batch, checking every length against the bytes that are there.
struct RecordReader {
    /// One record; the ranges lie in the batch's bytes.
    struct Record {
        var offsetDelta: Int32
        var timestampDelta: Int64
        /// nil: no key.
        var key: Range<Int>?
        /// nil: a tombstone.
        var value: Range<Int>?
        /// The record with its length prefix.
        var extent: Range<Int>
    }

    private let bytes: UnsafeRawBufferPointer
    private var position: Int

    /// - Parameter bytes: a whole batch, uncompressed.
    init(batch bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        position = RecordBatchHeader.size
    }

    var isAtEnd: Bool { position >= bytes.count }

    /// - Returns: nil if the bytes are no record.
    mutating func next() -> Record? {
        let start = position
        guard let length = readVarint(), length >= 0, length <= Int64(bytes.count - position) else { return nil }
        let end = position + Int(length)
        guard position < end else { return nil }
        position += 1  // attributes: none are defined
        guard
            let timestampDelta = readVarint(),
            let offsetDelta = readVarint(), let offset = Int32(exactly: offsetDelta),
            let key = readField(before: end), let value = readField(before: end),
            let headerCount = readVarint(), headerCount >= 0, headerCount <= Int64(end - position)
        else { return nil }
        for _ in 0..<headerCount {
            guard let name = readField(before: end), name != nil, readField(before: end) != nil else { return nil }
        }
        guard position == end else { return nil }
        return Record(
            offsetDelta: offset, timestampDelta: timestampDelta, key: key, value: value, extent: start..<end)
    }

    /// - Returns: nil if malformed, .some(nil) for a null field.
    private mutating func readField(before end: Int) -> Range<Int>?? {
        guard let length = readVarint(), length >= -1, length <= Int64(end - position) else { return nil }
        guard length >= 0 else { return .some(nil) }
        let range = position..<(position + Int(length))
        position = range.upperBound
        return .some(range)
    }

    private mutating func readVarint() -> Int64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
            shift += 7
        }
        return nil
    }
}
