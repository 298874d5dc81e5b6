import Avro
import EventLog
import OrchestraCore
import Placement
import Records
import Testing

@testable import Silo

/// Records that cannot become turns: each goes its way, and the partition goes on.
@Suite(.timeLimit(.minutes(1))) struct RecordIntakeTests {
    private func expectDeadLetter(
        _ code: String, key: [UInt8]?, value: [UInt8]?, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let bench = try PartitionBench()
        bench.log.append(ProducerRecord(topic: "orders", partition: 0, key: key, value: value))
        try bench.order("add 1", key: "after")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("after") == 1, sourceLocation: sourceLocation)
        }
        let letters = try bench.deadLetters
        #expect(letters.map(\.code) == [code], sourceLocation: sourceLocation)
        #expect(letters.first?.offset == 0, sourceLocation: sourceLocation)
    }

    @Test func nullKey() async throws { try await expectDeadLetter("nullKey", key: nil, value: [0]) }
    @Test func emptyKey() async throws { try await expectDeadLetter("emptyKey", key: [], value: [0]) }
    @Test func keyThatIsNoText() async throws {
        try await expectDeadLetter("invalidKey", key: [0xff, 0xfe], value: [0])
    }
    @Test func keyWithNul() async throws { try await expectDeadLetter("invalidKey", key: [97, 0], value: [0]) }
    @Test func keyTooLong() async throws {
        try await expectDeadLetter("invalidKey", key: [UInt8](repeating: 97, count: 513), value: [0])
    }
    @Test func nullValue() async throws { try await expectDeadLetter("nullValue", key: [97], value: nil) }
    @Test func notFramed() async throws { try await expectDeadLetter("notFramed", key: [97], value: [1, 2, 3]) }
    @Test func unknownSchema() async throws {
        try await expectDeadLetter("unknownSchemaID", key: [97], value: [0, 0, 0, 0, 250, 1])
    }
    @Test func cutInHalf() async throws {
        let whole = try TestCodec().encode(order("add 1", key: "a"))
        try await expectDeadLetter("endOfData", key: [97], value: Array(whole.prefix(whole.count / 2)))
    }

    @Test func aRecordInTheWrongPartitionMovesInTheSameTransaction() async throws {
        let log = MemoryLog()
        let codec = TestCodec()
        let benches = try (0..<4).map {
            try PartitionBench(log: log, codec: codec, partitionCount: 4, partition: Int32($0))
        }
        let home = benches[0].partitioner.partition(forKey: "a")
        let wrong = (home + 1) % 4
        try benches[0].send(order("add 3", key: "a"), key: "a", partition: wrong)
        try await benches[Int(wrong)].serveUntilIdle()
        let moved = try #require(log.commits.first { $0.records.contains { $0.topic == "orders" } })
        #expect(moved.records.first { $0.topic == "orders" }?.partition == home)
        #expect(moved.offsets[TopicPartition(topic: "orders", partition: wrong)] == 1)
        try await benches[Int(home)].serve { bench in
            try await bench.idle()
            #expect(try await bench.total("a") == 3)
        }
        #expect(try benches[0].deadLetters.isEmpty)
    }

    @Test func recordsWaitForTheRegistryAndAreNeverDeadLetters() async throws {
        let codec = TestCodec(needsFetching: true)
        let bench = try PartitionBench(codec: codec)
        try await bench.serve { bench in
            try await bench.idle()
            let fetches = codec.fetches
            codec.isReachable = false
            try bench.order("add 1", key: "a")
            try await eventually("the registry has been asked") { codec.fetches > fetches }
            // Commands need no registry, and do not wait for the records.
            #expect(try await bench.grain("b").send(Add(amount: 2)) == 2)
            #expect(try bench.deadLettersIfDecodable() == 0)
            codec.isReachable = true
            bench.clock.advance(.seconds(2))
            try await eventually("the record is taken in") { (try? await bench.total("a")) == 1 }
        }
        #expect(try bench.deadLettersIfDecodable() == 0)
    }
}

extension PartitionBench {
    func deadLettersIfDecodable() throws -> Int { log.records(Topics.deadLetters).count }
}
