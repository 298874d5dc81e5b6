import NIOCore
import Testing

@testable import LocalBroker

@Suite("Produce and fetch")
struct ProduceFetchTests {
    @Test("what was produced is read back, also after a restart")
    func restart() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t", partitions: 2)
            for value in ["a", "b", "c"] { try await client.produce("t", .of([TestRecord("k", value)])) }
            #expect(try await client.produce("t", .of("other"), partition: 1).baseOffset == 0)
        }
        try await withBroker(in: directory.path) { _, client in
            let restored = try await client.readAll("t")
            #expect(restored == ["0 k=a", "1 k=b", "2 k=c"])
            #expect(try await client.produce("t", .of([TestRecord("k", "d")])).baseOffset == 3)
            #expect(try await client.readAll("t", from: 2) == ["2 k=c", "3 k=d"])
        }
    }

    @Test("cold and hot reads return the same")
    func coldReads() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.limits.maximumTailBytes = 2_000
        } _: { _, client in
            try await client.createTopic("t")
            let expected = (0..<200).map { "\($0) k=value \($0)" }
            for index in 0..<200 { try await client.produce("t", .of([TestRecord("k", "value \(index)")])) }
            #expect(try await client.readAll("t") == expected)
            #expect(try await client.readAll("t", from: 195) == Array(expected[195...]))
        }
    }

    @Test("a long poll waits, and an append wakes it")
    func longPoll() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { port, client in
            try await client.createTopic("t")
            let began = ContinuousClock.now
            #expect(try await client.fetch("t", from: 0, wait: 200).records.byteCount == 0)
            #expect(ContinuousClock.now - began >= .milliseconds(190))
            let reader = try await TestClient(port: port)
            async let answer = reader.fetch("t", from: 0, wait: 30_000)
            try await client.produce("t", .of("woken"))
            #expect(try await answer.records.byteCount > 0)
            #expect(ContinuousClock.now - began < .seconds(20))
            await reader.close()
        }
    }

    @Test("answers come in the order of the requests, a parked fetch included")
    func order() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            let fetch = client.start(
                FetchRequest(
                    maximumWaitMilliseconds: 100, minimumBytes: 1,
                    topics: [FetchTopic(name: "t", partitions: [FetchPartition(index: 0, maximumBytes: 1000)])]))
            // Its answer would be ready at once; the test client fails if it overtakes.
            let metadata = client.start(MetadataRequest(topics: []))
            #expect(try await fetch.get().topics.count == 1)
            #expect(try await metadata.get().brokers.count == 1)
        }
    }

    @Test("limits hold, but one batch is always returned")
    func limits() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            for _ in 0..<5 { try await client.produce("t", .of(String(repeating: "x", count: 1_000))) }
            let some = try await client.fetch("t", from: 0, maximumBytes: 2_500)
            #expect(some.records.byteCount > 2_000 && some.records.byteCount <= 2_500)
            let one = try await client.fetch("t", from: 1, maximumBytes: 1)
            #expect(one.records.byteCount > 1_000 && one.records.byteCount < 1_200)
        }
    }

    @Test("offsets are found by time, and the largest time too")
    func timestamps() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t", ["retention.ms": "-1"])
            for time in [100, 300, 200] {
                try await client.produce("t", .of([TestRecord(nil, "x")], timestamp: Int64(time)))
            }
            #expect(try await client.listOffset("t", 0) == 0)
            #expect(try await client.listOffset("t", 150) == 1)
            #expect(try await client.listOffset("t", 301) == -1)
            #expect(try await client.listOffset("t", -1) == 3)
            #expect(try await client.listOffset("t", -2) == 0)
            #expect(try await client.listOffset("t", -3) == 1)
        }
    }

    @Test("log append time is the broker's clock")
    func logAppendTime() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t", ["message.timestamp.type": "LogAppendTime"])
            let result = try await client.produce("t", .of([TestRecord(nil, "x")], timestamp: 1))
            #expect(result.logAppendTimeMilliseconds > 1_000_000_000_000)
            guard case .slice(let slice) = try await client.fetch("t", from: 0).records else {
                Issue.record("nothing was fetched")
                return
            }
            let header = try #require(TestRecord.batches(Array(slice.readableBytesView)).first?.header)
            #expect(header.maximumTimestamp == result.logAppendTimeMilliseconds)
            #expect(header.usesLogAppendTime)
        }
    }

    @Test("a deleted topic is gone, one made anew is empty")
    func recreation() async throws {
        let directory = TemporaryDirectory()
        for round in 0..<2 {
            try await withBroker(in: directory.path) { _, client in
                if round == 0 {
                    try await client.createTopic("t")
                    try await client.produce("t", .of("old"))
                    let deleted = try await client.call(DeleteTopicsRequest(names: ["t"]))
                    #expect(deleted.results.map(\.error) == [.none])
                    #expect(try await client.produce("t", .of("x")).error == .unknownTopicOrPartition)
                    try await client.createTopic("t")
                }
                let remaining = try await client.readAll("t")
                #expect(remaining == [])
            }
        }
    }
}
