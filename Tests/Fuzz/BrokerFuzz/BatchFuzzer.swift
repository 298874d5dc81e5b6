#if DEBUG
    import NIOCore
    import SeededRandom

    @testable import LocalBroker

    /// Damaged record batches, most of them with a checksum that is right again, so that the fields behind it are
    /// reached. What is taken must walk record by record to its end.
    struct BatchFuzzer {
        /// - Returns: whether the bytes were a batch.
        func run(_ random: inout SeededGenerator) throws -> Bool {
            var bytes = Self.batch(&random)
            if random.below(16) > 0 { random.mutate(&bytes) }
            if random.below(8) > 0 { Self.mend(&bytes) }
            let requirements = RecordBatch.Requirements(maximumBytes: 1 << 20, requiresKeys: random.below(2) == 0)
            do throws(InvalidBatch) {
                let batch = try RecordBatch.validated(ByteBuffer(bytes: bytes), requirements: requirements)
                try Self.walk(batch, requirements)
                return true
            } catch {
                return false
            }
        }

        private static func walk(
            _ batch: RecordBatch, _ requirements: RecordBatch.Requirements
        ) throws(InvalidBatch) {
            var placed = batch
            placed.assign(baseOffset: 4711)
            placed.assign(logAppendTime: 99)
            let again = try RecordBatch.validated(ByteBuffer(bytes: placed.bytes), requirements: requirements)
            precondition(again.header.recordCount == batch.header.recordCount, "a stored batch has another count")
            guard !again.header.isCompressed else { return }
            let count = placed.bytes.withUnsafeBytes { bytes in
                var reader = RecordReader(batch: bytes)
                var count: Int32 = 0
                while let record = reader.next() {
                    count += 1
                    for range in [record.key, record.value] {
                        precondition((range?.upperBound ?? 0) <= bytes.count, "a field ends behind its batch")
                    }
                }
                return count
            }
            precondition(count == again.header.recordCount, "\(count) records, \(again.header.recordCount) claimed")
        }

        /// A good batch of one to three records.
        static func batch(_ random: inout SeededGenerator) -> [UInt8] {
            var records: [UInt8] = []
            let count = 1 + random.below(3)
            for index in 0..<count {
                var record: [UInt8] = [0, 0, UInt8(index * 2)]
                for _ in 0..<2 {
                    let length = random.below(6) - 1
                    record.append(length < 0 ? 1 : UInt8(length * 2))
                    for _ in 0..<max(0, length) { record.append(UInt8(truncatingIfNeeded: random.next())) }
                }
                record.append(0)
                records.append(UInt8(record.count * 2))
                records += record
            }
            let isOwned = random.below(2) == 0
            return RecordBatch.build(
                records: records, recordCount: Int32(count), lastOffsetDelta: Int32(count - 1), baseOffset: 0,
                attributes: random.below(6) == 0 ? Int16(random.below(64)) : 0, baseTimestamp: 0, maximumTimestamp: 0,
                producer: isOwned ? ProducerIdentity(producerID: 7, epoch: 0) : .none, baseSequence: isOwned ? 0 : -1
            ).bytes
        }

        /// Makes the length and the checksum true.
        private static func mend(_ bytes: inout [UInt8]) {
            guard bytes.count > 21 else { return }
            withUnsafeBytes(of: Int32(bytes.count - 12).bigEndian) { bytes.replaceSubrange(8..<12, with: $0) }
            let checksum = bytes[21...].withUnsafeBytes { CRC32C.checksum($0) }
            withUnsafeBytes(of: checksum.bigEndian) { bytes.replaceSubrange(17..<21, with: $0) }
        }
    }
#endif
