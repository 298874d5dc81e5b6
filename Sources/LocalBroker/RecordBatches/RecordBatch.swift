// The record batch format v2 (magic 2), after https://kafka.apache.org/documentation/#recordbatch:
//
//     0  base offset            8     the checksum covers everything from `attributes` on; so the broker can set
//     8  length of the rest     4     base offset and leader epoch without touching it
//    12  partition leader epoch 4
//    16  magic                  1
//    17  CRC-32C                4
//    21  attributes             2     bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control
//    23  last offset delta      4
//    27  base timestamp         8
//    35  maximum timestamp      8
//    43  producer id            8
//    51  producer epoch         2
//    53  base sequence          4
//    57  record count           4
//    61  records

/// The header fields of a record batch.
struct RecordBatchHeader: Sendable, Hashable {
    /// Bytes of the header.
    static let size = 61
    /// Bytes before the part that the length field counts.
    static let lengthPrefix = 12
    /// The only leader epoch of a single-node log.
    static let leaderEpoch: Int32 = 0

    var baseOffset: Int64
    /// Bytes of the whole batch.
    var byteCount: Int
    var magic: Int8
    var checksum: UInt32
    var attributes: Int16
    var lastOffsetDelta: Int32
    var baseTimestamp: Int64
    var maximumTimestamp: Int64
    var producerID: Int64
    var producerEpoch: Int16
    var baseSequence: Int32
    var recordCount: Int32

    var lastOffset: Int64 { baseOffset + Int64(lastOffsetDelta) }
    var isCompressed: Bool { attributes & 0x07 != 0 }
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    var compressionType: Int16 { attributes & 0x07 }
    var isTransactional: Bool { attributes & 0x10 != 0 }
    var isControl: Bool { attributes & 0x20 != 0 }
    var usesLogAppendTime: Bool { attributes & 0x08 != 0 }

    /// Reads the header at the start of `bytes`.
    ///
    /// - Returns: nil if the bytes end before the header does or the length field is negative.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.size else { return nil }
        func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        let length = load(8, Int32.self)
        guard length >= 0 else { return nil }
        baseOffset = load(0, Int64.self)
        byteCount = Int(length) + Self.lengthPrefix
        magic = load(16, Int8.self)
        checksum = load(17, UInt32.self)
        attributes = load(21, Int16.self)
        lastOffsetDelta = load(23, Int32.self)
        baseTimestamp = load(27, Int64.self)
        maximumTimestamp = load(35, Int64.self)
        producerID = load(43, Int64.self)
        producerEpoch = load(51, Int16.self)
        baseSequence = load(53, Int32.self)
        recordCount = load(57, Int32.self)
    }

    static func checksum(ofBatch bytes: UnsafeRawBufferPointer) -> UInt32 {
        CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[21...]))
    }
}

/// A batch as it lies in the log: its header and all its bytes, base offset included.
struct RecordBatch: Sendable {
    private(set) var header: RecordBatchHeader
    private(set) var bytes: [UInt8]

    var baseOffset: Int64 { header.baseOffset }
    var lastOffset: Int64 { header.lastOffset }

    /// - Precondition: `header` is what `bytes` start with.
    init(header: RecordBatchHeader, bytes: [UInt8]) {
        self.header = header
        self.bytes = bytes
    }

    /// Gives the batch its place in the log.
    mutating func assign(baseOffset: Int64) {
        header.baseOffset = baseOffset
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: baseOffset.bigEndian, toByteOffset: 0, as: Int64.self)
            raw.storeBytes(of: RecordBatchHeader.leaderEpoch.bigEndian, toByteOffset: 12, as: Int32.self)
        }
    }

    /// Sets `LogAppendTime`, which lies in the checksummed part.
    mutating func assign(logAppendTime: Int64) {
        header.attributes |= 0x08
        header.maximumTimestamp = logAppendTime
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: header.attributes.bigEndian, toByteOffset: 21, as: Int16.self)
            raw.storeBytes(of: logAppendTime.bigEndian, toByteOffset: 35, as: Int64.self)
            header.checksum = RecordBatchHeader.checksum(ofBatch: UnsafeRawBufferPointer(raw))
            raw.storeBytes(of: header.checksum.bigEndian, toByteOffset: 17, as: UInt32.self)
        }
    }

    /// A control batch: the marker that ends a producer's transaction in a partition.
    static func marker(
        _ outcome: TransactionOutcome, producer: ProducerIdentity, baseOffset: Int64, timestamp: Int64
    ) -> RecordBatch {
        var record: [UInt8] = [0]  // attributes
        record.append(varint: 0)  // timestamp delta
        record.append(varint: 0)  // offset delta
        record.append(varint: 4)  // key: version 0, type
        record.append(bigEndian: Int16(0))
        record.append(bigEndian: outcome.rawValue)
        record.append(varint: 6)  // value: version 0, coordinator epoch 0
        record.append(bigEndian: Int16(0))
        record.append(bigEndian: Int32(0))
        record.append(varint: 0)  // no headers
        var records: [UInt8] = []
        records.append(varint: Int64(record.count))
        records += record
        return build(
            records: records, recordCount: 1, lastOffsetDelta: 0, baseOffset: baseOffset, attributes: 0x30,
            baseTimestamp: timestamp, maximumTimestamp: timestamp, producer: producer, baseSequence: -1)
    }

    /// Puts a header with its checksum in front of encoded records.
    static func build(
        records: [UInt8], recordCount: Int32, lastOffsetDelta: Int32, baseOffset: Int64, attributes: Int16,
        baseTimestamp: Int64, maximumTimestamp: Int64, producer: ProducerIdentity, baseSequence: Int32
    ) -> RecordBatch {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(RecordBatchHeader.size + records.count)
        bytes.append(bigEndian: baseOffset)
        bytes.append(bigEndian: Int32(RecordBatchHeader.size + records.count - RecordBatchHeader.lengthPrefix))
        bytes.append(bigEndian: RecordBatchHeader.leaderEpoch)
        bytes.append(2)
        bytes.append(bigEndian: UInt32(0))
        bytes.append(bigEndian: attributes)
        bytes.append(bigEndian: lastOffsetDelta)
        bytes.append(bigEndian: baseTimestamp)
        bytes.append(bigEndian: maximumTimestamp)
        bytes.append(bigEndian: producer.producerID)
        bytes.append(bigEndian: producer.epoch)
        bytes.append(bigEndian: baseSequence)
        bytes.append(bigEndian: recordCount)
        bytes += records
        let checksum = bytes.withUnsafeBytes { RecordBatchHeader.checksum(ofBatch: $0) }
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: checksum.bigEndian, toByteOffset: 17, as: UInt32.self) }
        guard let header = bytes.withUnsafeBytes({ RecordBatchHeader($0) }) else {
            preconditionFailure("a batch of \(bytes.count) bytes was built without a header")
        }
        return RecordBatch(header: header, bytes: bytes)
    }
}

extension TransactionOutcome {
    /// What a control batch says; nil if it is no marker.
    init?(marker bytes: UnsafeRawBufferPointer) {
        var reader = RecordReader(batch: bytes)
        guard let key = reader.next()?.key, key.count >= 4 else { return nil }
        let type = bytes.loadUnaligned(fromByteOffset: key.lowerBound + 2, as: Int16.self)
        self.init(rawValue: Int16(bigEndian: type))
    }
}

extension [UInt8] {
    mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// A zigzag varint, as records use it.
    mutating func append(varint value: Int64) {
        var rest = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }
}
