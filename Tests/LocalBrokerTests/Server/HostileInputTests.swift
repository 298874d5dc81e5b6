import NIOCore
import SeededRandom
import Testing

@testable import LocalBroker

@Suite("Hostile input")
struct HostileInputTests {
    private static func frame(_ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(body.count))
        return bytes + body
    }

    @Test(
        "claimed lengths beyond the limit close the connection", arguments: [Int32.max, -1, Int32.min, 0, 7, 1 << 30])
    func lengths(claimed: Int32) async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { port, client in
            let hostile = try await TestClient(port: port)
            var bytes: [UInt8] = []
            bytes.append(bigEndian: claimed)
            hostile.send(bytes)
            try await hostile.waitUntilClosed()
            #expect(try await client.call(MetadataRequest(topics: [])).brokers.count == 1)
        }
    }

    @Test("unknown APIs and versions close the connection, ApiVersions answers in version 0")
    func versions() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { port, _ in
            for (key, version) in [(Int16(0), Int16(10)), (1, 3), (999, 0), (-1, 0), (3, -1)] {
                let hostile = try await TestClient(port: port)
                var body: [UInt8] = []
                body.append(bigEndian: key)
                body.append(bigEndian: version)
                body.append(bigEndian: Int32(1))
                body.append(bigEndian: Int16(-1))
                hostile.send(Self.frame(body))
                try await hostile.waitUntilClosed()
            }
        }
    }

    @Test("random and mutated frames hurt nobody else", arguments: [UInt64(11), 12])
    func fuzz(seed: UInt64) async throws {
        let directory = TemporaryDirectory()
        var random = SeededGenerator(seed: seed)
        try await withBroker(in: directory.path) { port, client in
            try await client.createTopic("t")
            try await client.produce("t", .of("precious"))
            var wire = WireCodec(writingTo: ByteBuffer(), version: 9, isFlexible: true)
            var header = RequestHeader(apiKey: 0, apiVersion: 9, correlationID: 1, clientID: "f")
            try header.fields(&wire)
            var produce = ProduceRequest(
                acks: 1,
                topics: [
                    ProduceTopic(
                        name: "other",
                        partitions: [ProducePartition(records: .batches([RecordBatch.of("x").bytes]))])
                ])
            try wire.structure(&produce)
            let valid = Array(wire.takeBuffer().readableBytesView)
            for _ in 0..<300 {
                var body = valid
                for _ in 0..<Int.random(in: 1...5, using: &random) {
                    body[Int.random(in: 0..<body.count, using: &random)] = .random(in: 0 ... .max, using: &random)
                }
                if Bool.random(using: &random) { body[0] = 0 }
                if Bool.random(using: &random) { body[1] = .random(in: 0...60, using: &random) }
                let hostile = try await TestClient(port: port)
                hostile.send(Self.frame(body))
                if Bool.random(using: &random) { hostile.send([0, 0, 0, 100, 1, 2, 3]) }
                await hostile.close()
            }
            #expect(try await client.readAll("t") == ["0 -=precious"])
        }
    }

    @Test("any number of small requests at once is taken, also those without an answer")
    func manyAtOnce() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { port, client in
            let hostile = try await TestClient(port: port)
            var body: [UInt8] = []
            body.append(bigEndian: ProduceRequest.api.key.rawValue)
            body.append(bigEndian: Int16(3))
            body.append(bigEndian: Int32(1))
            // No client id, no transactional id, acks = 0, a time-out, no topics.
            body.append(bigEndian: Int16(-1))
            body.append(bigEndian: Int16(-1))
            body.append(bigEndian: Int16(0))
            body.append(bigEndian: Int32(1_000))
            body.append(bigEndian: Int32(0))
            let frame = Self.frame(body)
            hostile.send((0..<100_000).flatMap { _ in frame })
            #expect(try await hostile.call(MetadataRequest(topics: [])).brokers.count == 1)
            #expect(try await client.call(MetadataRequest(topics: [])).brokers.count == 1)
        }
    }

    @Test("what is named many times is answered once")
    func repetitions() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t", partitions: 16)
            try await client.createTopic("u")
            let topics = (0..<50_000).map { MetadataTopic(name: $0.isMultiple(of: 2) ? "u" : "t") }
            #expect(try await client.call(MetadataRequest(topics: topics)).topics.map(\.name) == ["u", "t"])
            let names = Array(repeating: "x", count: 50_000)
            #expect(try await client.call(DescribeGroupsRequest(groupIDs: names)).groups.count == 1)
            let described = try await client.call(DescribeTransactionsRequest(transactionalIDs: names))
            #expect(described.transactions.count == 1)
            let offsets = OffsetFetchTopic(name: "t", partitions: Array(repeating: 3, count: 10_000))
            let fetched = try await client.call(
                OffsetFetchRequest(
                    groups: Array(repeating: OffsetFetchGroup(groupID: "x", topics: [offsets]), count: 10)))
            #expect(fetched.groups.map { $0.topics.map(\.partitions.count) } == [[1]])
            let resource = DescribeConfigsResource(type: BrokerCore.topicResource, name: "t")
            let configs = try await client.call(
                DescribeConfigsRequest(resources: Array(repeating: resource, count: 10_000)))
            #expect(configs.results.count == 1)
            let producers = try await client.call(
                DescribeProducersRequest(
                    topics: Array(repeating: AddPartitionsToTxnTopic(name: "t", partitions: [1, 2, 1]), count: 1_000)))
            #expect(producers.topics.map { $0.partitions.map(\.index) } == [[1, 2]])
        }
    }

    @Test("a client that pipelines without reading is held back, and loses nothing")
    func greedy() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            let futures = (0..<2_000).map { _ in client.start(MetadataRequest(topics: nil)) }
            for future in futures { #expect(try await future.get().topics.count == 1) }
        }
    }
}
