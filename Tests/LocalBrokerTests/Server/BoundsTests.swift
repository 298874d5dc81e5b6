import NIOCore
import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("Bounds")
struct BoundsTests {
    @Test("of unfinished requests the greediest connection is closed, and nobody else")
    func unfinishedRequests() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.limits.maximumInboundBytes = 100_000
        } _: { port, client in
            let modest = try await TestClient(port: port)
            let greedy = try await TestClient(port: port)
            var frame: [UInt8] = []
            frame.append(bigEndian: Int32(1 << 20))
            modest.send(frame + [UInt8](repeating: 0, count: 20_000))
            greedy.send(frame + [UInt8](repeating: 0, count: 150_000))
            try await greedy.waitUntilClosed()
            #expect(try await client.call(MetadataRequest(topics: [])).brokers.count == 1)
            // The modest one goes on: the rest of its frame makes it a whole request of an unknown API.
            modest.send([UInt8](repeating: 0xff, count: 50_000))
            #expect(try await client.call(MetadataRequest(topics: [])).brokers.count == 1)
            await modest.close()
        }
    }

    @Test("a connection without traffic is closed")
    func idle() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.maintenanceInterval = .milliseconds(20)
            configuration.limits.idleTimeout = .milliseconds(200)
        } _: { port, _ in
            let idle = try await TestClient(port: port)
            try await idle.waitUntilClosed()
        }
    }

    @Test("more connections than allowed are refused")
    func connections() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.limits.maximumConnections = 2
        } _: { port, client in
            let second = try await TestClient(port: port)
            #expect(try await second.call(MetadataRequest(topics: [])).brokers.count == 1)
            let third = try await TestClient(port: port)
            try await third.waitUntilClosed()
            #expect(try await client.call(MetadataRequest(topics: [])).brokers.count == 1)
            await second.close()
        }
    }

    @Test("more transactional ids and groups than allowed are refused; those that are there go on")
    func coordinators() {
        let now = Timestamp(millisecondsSinceEpoch: 1)
        var transactions = TransactionCoordinator(configuration: .init(maximumTransactionalIDs: 1))
        func initialize(_ transactionalID: String) -> KafkaErrorCode {
            let decision = transactions.initProducerID(
                .init(transactionalID: transactionalID, transactionTimeout: .seconds(1), apiVersion: 4), now: now)
            return if case .failure(let error) = decision.answer { error } else { .none }
        }
        #expect(initialize("a") == .none)
        #expect(initialize("b") == .policyViolation)
        #expect(initialize("a") == .none)

        var groups = GroupCoordinator(
            configuration: .init(maximumGroups: 1), groups: [], offsets: [], pendingOffsets: [], now: now)
        func commit(_ groupID: String) -> [KafkaErrorCode] {
            groups.commitOffsets(
                groupID: groupID, membership: .simple,
                offsets: [(TopicPartition(topic: "t", partition: 0), CommittedOffset(offset: 1, commitTime: now))],
                now: now
            ).answer
        }
        #expect(commit("a") == [.none])
        #expect(commit("b") == [.policyViolation])
        #expect(commit("a") == [.none])
    }

    @Test("what an answered AddPartitionsToTxn has added outlives the broker together with the batch that needs it")
    func ridingChanges() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            #expect(try await producer.add("t") == KafkaErrorCode.none)
            #expect(try await producer.produce("t", "a") == .none)
            // As a killed broker would leave it: what is on disk now.
            let copy = TemporaryDirectory()
            try await client.snapshot(of: directory.path, to: copy.path)
            #expect(try BrokerCheck.run(directory: copy.path).problems == [])
            try await withBroker(in: copy.path) { _, client in
                let described = try await client.call(DescribeTransactionsRequest(transactionalIDs: ["x"]))
                #expect(described.transactions.map(\.state) == ["Ongoing"])
                #expect(described.transactions.first?.topics.map(\.name) == ["t"])
                #expect(try await client.listOffset("t", -1, isCommitted: true) == 0)
            }
        }
    }
}
