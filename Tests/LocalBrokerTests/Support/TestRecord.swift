import OrchestraCore

@testable import LocalBroker

/// Records as tests write and read them.
struct TestRecord: Equatable {
    var offset: Int64 = 0
    var key: String?
    var value: String?

    init(_ key: String?, _ value: String?, offset: Int64 = 0) {
        self.key = key
        self.value = value
        self.offset = offset
    }

    struct Batch {
        var header: RecordBatchHeader
        var records: [TestRecord]

        /// As a consumer decides it: aborted from the first offset of the list to the producer's abort marker.
        func isAborted(by list: [FetchAbortedTransaction], markers: [Batch]) -> Bool {
            list.contains { aborted in
                guard aborted.producerID == header.producerID, aborted.firstOffset <= header.baseOffset else {
                    return false
                }
                let end = markers.first {
                    $0.header.isControl && $0.header.producerID == header.producerID
                        && $0.header.baseOffset > aborted.firstOffset
                }
                return end.map { header.baseOffset < $0.header.baseOffset } ?? true
            }
        }
    }

    /// Reads whole batches one behind the other.
    static func batches(_ bytes: [UInt8]) -> [Batch] {
        var batches: [Batch] = []
        var start = 0
        bytes.withUnsafeBytes { raw in
            while let header = RecordBatchHeader(UnsafeRawBufferPointer(rebasing: raw[start...])) {
                let batch = UnsafeRawBufferPointer(rebasing: raw[start..<(start + header.byteCount)])
                var records: [TestRecord] = []
                if !header.isCompressed {
                    var reader = RecordReader(batch: batch)
                    while let record = reader.next() {
                        func text(_ range: Range<Int>?) -> String? {
                            range.map { String(decoding: batch[$0], as: UTF8.self) }
                        }
                        records.append(
                            TestRecord(
                                text(record.key), text(record.value),
                                offset: header.baseOffset + Int64(record.offsetDelta)))
                    }
                }
                batches.append(Batch(header: header, records: records))
                start += header.byteCount
                if start >= raw.count { break }
            }
        }
        return batches
    }
}

extension RecordBatch {
    static func of(
        _ records: [TestRecord], producer: ProducerIdentity = .none, sequence: Int32 = -1,
        isTransactional: Bool = false, timestamp: Int64 = now, attributes: Int16 = 0
    ) -> RecordBatch {
        var bytes: [UInt8] = []
        for (index, record) in records.enumerated() {
            var body: [UInt8] = [0]
            body.append(varint: 0)
            body.append(varint: Int64(index))
            for field in [record.key, record.value] {
                body.append(varint: field.map { Int64($0.utf8.count) } ?? -1)
                body += Array((field ?? "").utf8)
            }
            body.append(varint: 0)
            bytes.append(varint: Int64(body.count))
            bytes += body
        }
        return build(
            records: bytes, recordCount: Int32(records.count), lastOffsetDelta: Int32(records.count) - 1,
            baseOffset: 0, attributes: attributes | (isTransactional ? 0x10 : 0), baseTimestamp: timestamp,
            maximumTimestamp: timestamp, producer: producer, baseSequence: sequence)
    }

    private static var now: Int64 { BrokerCore.wallClock().millisecondsSinceEpoch }

    static func of(_ values: String...) -> RecordBatch { of(values.map { TestRecord(nil, $0) }) }
}
