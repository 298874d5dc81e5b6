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
