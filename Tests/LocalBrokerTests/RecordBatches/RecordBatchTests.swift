import NIOCore
import SeededRandom
import Testing

@testable import LocalBroker

@Suite("Record batches")
struct RecordBatchTests {
    private let requirements = RecordBatch.Requirements(maximumBytes: 1 << 20, requiresKeys: false)

    private func validate(_ bytes: [UInt8], requiresKeys: Bool = false) throws -> RecordBatch {
        try RecordBatch.validated(
            ByteBuffer(bytes: bytes), requirements: .init(maximumBytes: 1 << 20, requiresKeys: requiresKeys))
    }

    @Test("CRC-32C of the standard's check value")
    func checksum() {
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) } == 0xe306_9283)
        #expect(Array(repeating: UInt8(0), count: 32).withUnsafeBytes { CRC32C.checksum($0) } == 0x8a91_36aa)
    }

    @Test("the base offset is set without touching the checksum")
    func assignment() throws {
        var batch = try validate(RecordBatch.of("a", "b", "c").bytes)
        batch.assign(baseOffset: 42)
        let header = try #require(batch.bytes.withUnsafeBytes { RecordBatchHeader($0) })
        #expect(header.baseOffset == 42)
        #expect(header.lastOffset == 44)
        #expect(batch.bytes.withUnsafeBytes { RecordBatchHeader.checksum(ofBatch: $0) } == header.checksum)
        #expect(try validate(batch.bytes).bytes == batch.bytes)
    }

    @Test("log append time changes the checksum with the time")
    func logAppendTime() throws {
        var batch = RecordBatch.of("a")
        batch.assign(logAppendTime: 77)
        let read = try validate(batch.bytes)
        #expect(read.header.maximumTimestamp == 77)
        #expect(read.header.usesLogAppendTime)
    }

    @Test("any flipped bit behind the leader epoch is refused")
    func flippedBits() {
        let good = RecordBatch.of("value", "other").bytes
        for index in 16..<good.count {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                #expect(throws: InvalidBatch.self, "byte \(index), bit \(bit)") { try validate(bytes) }
            }
        }
    }

    @Test("cut and extended batches are refused")
    func wrongLengths() {
        let good = RecordBatch.of("value").bytes
        for count in 0..<good.count {
            #expect(throws: InvalidBatch.self, "\(count) bytes") { try validate(Array(good.prefix(count))) }
        }
        #expect(throws: InvalidBatch.self) { try validate(good + good) }
        #expect(throws: InvalidBatch.self) { try validate(good + [0]) }
    }

    @Test("counts must be true even if the checksum is right")
    func wrongCounts() {
        let records = RecordBatch.of("a", "b")
        func rebuilt(count: Int32, lastDelta: Int32) -> [UInt8] {
            RecordBatch.build(
                records: Array(records.bytes[RecordBatchHeader.size...]), recordCount: count,
                lastOffsetDelta: lastDelta,
                baseOffset: 0, attributes: 0, baseTimestamp: 0, maximumTimestamp: 0, producer: .none, baseSequence: -1
            ).bytes
        }
        #expect(throws: Never.self) { try validate(rebuilt(count: 2, lastDelta: 1)) }
        for (count, lastDelta) in [(1, 0), (3, 2), (2, 2), (0, -1), (-1, -2), (Int32.max, Int32.max - 1)] {
            #expect(throws: InvalidBatch.self) {
                try validate(rebuilt(count: Int32(count), lastDelta: Int32(lastDelta)))
            }
        }
    }

    @Test("control batches, old formats and missing keys are refused")
    func refusals() throws {
        let marker = RecordBatch.marker(
            .commit, producer: ProducerIdentity(producerID: 1, epoch: 0), baseOffset: 0, timestamp: 0)
        #expect(throws: InvalidBatch.self) { try validate(marker.bytes) }
        var old = RecordBatch.of("a").bytes
        old[16] = 1
        let error = #expect(throws: InvalidBatch.self) { try validate(old) }
        #expect(error?.error == .unsupportedForMessageFormat)
        #expect(throws: InvalidBatch.self) { try validate(RecordBatch.of("a").bytes, requiresKeys: true) }
        let tooLarge = #expect(throws: InvalidBatch.self) {
            try RecordBatch.validated(
                ByteBuffer(bytes: RecordBatch.of("abc").bytes),
                requirements: .init(maximumBytes: 60, requiresKeys: false))
        }
        #expect(tooLarge?.error == .messageTooLarge)
    }

    @Test("a marker is one control record that names its outcome", arguments: [TransactionOutcome.commit, .abort])
    func marker(outcome: TransactionOutcome) throws {
        let marker = RecordBatch.marker(
            outcome, producer: ProducerIdentity(producerID: 9, epoch: 3), baseOffset: 5, timestamp: 11)
        let header = marker.header
        #expect(header.isControl && header.isTransactional)
        #expect(header.producerID == 9 && header.producerEpoch == 3 && header.baseSequence == -1)
        #expect(marker.lastOffset == 5)
        marker.bytes.withUnsafeBytes { raw in
            var reader = RecordReader(batch: raw)
            let record = reader.next()
            #expect(record?.key.map { Array(raw[$0]) } == [0, 0, 0, UInt8(outcome.rawValue)])
            #expect(record?.value?.count == 6)
            #expect(reader.isAtEnd)
        }
    }

    @Test("random records are read or refused, never more", arguments: [UInt64(1), 2])
    func fuzz(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let good = RecordBatch.of((0..<5).map { TestRecord("k\($0)", "v\($0)") }).bytes
        for _ in 0..<3000 {
            var bytes = good
            for _ in 0..<3 {
                let index = Int.random(in: RecordBatchHeader.size..<bytes.count, using: &random)
                bytes[index] = .random(in: 0 ... .max, using: &random)
            }
            bytes.withUnsafeBytes { raw in
                var reader = RecordReader(batch: raw)
                while let record = reader.next() {
                    #expect(record.extent.upperBound <= raw.count)
                    #expect((record.key?.upperBound ?? 0) <= record.extent.upperBound)
                    #expect((record.value?.upperBound ?? 0) <= record.extent.upperBound)
                }
            }
        }
    }
}
