import Foundation
import NIOCore
import OrchestraCore
import Synchronization
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

    @Test("while more waits for the disk than allowed nothing is taken up; then everybody goes on")
    func waitingForTheDisk() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.limits.maximumUncommittedBytes = 100_000
        } _: { (broker: LocalBroker, port, client) in
            try await client.createTopic("t")
            let other = try await TestClient(port: port)
            let disk = HeldDisk(broker.database)
            let batch = RecordBatch.of(String(repeating: "x", count: 50_000))
            let produced = (0..<4).map { _ in client.start(ProduceRequest(topic: "t", batch)) }
            var pending = other.start(ApiVersionsRequest())
            try await eventually("a request waits for longer than it takes") {
                let isAnswered = await pending.isAnswered(within: .milliseconds(300))
                if isAnswered { pending = other.start(ApiVersionsRequest()) }
                return !isAnswered
            }
            disk.release()
            #expect(try await pending.get().error == KafkaErrorCode.none)
            for response in produced {
                #expect(try await response.get().topics.first?.partitions.first?.error == KafkaErrorCode.none)
            }
            await other.close()
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

    @Test("a transaction holds offsets of so many groups, and names are no longer than allowed")
    func groupsOfATransaction() throws {
        let now = Timestamp(millisecondsSinceEpoch: 1)
        var transactions = TransactionCoordinator(configuration: .init(maximumNameBytes: 10, maximumGroups: 2))
        func initialize(_ transactionalID: String) -> Result<ProducerIdentity, KafkaErrorCode> {
            transactions.initProducerID(
                .init(transactionalID: transactionalID, transactionTimeout: .seconds(1), apiVersion: 4), now: now
            ).answer
        }
        #expect(initialize("elevenbytes") == .failure(.invalidRequest))
        let producer = try initialize("tenbytes--").get()
        func add(_ groupID: String) -> KafkaErrorCode {
            transactions.addOffsets(
                transactionalID: "tenbytes--", producer: producer, groupID: groupID, apiVersion: 3, now: now
            ).answer
        }
        #expect(
            ["a", "b", "c", "a", "elevenbytes", ""].map(add) == [
                .none, .none, .policyViolation, .none, .invalidGroupID, .invalidGroupID,
            ])
        #expect(transactions.transactions["tenbytes--"]?.groups == ["a", "b"])
    }

    @Test("of too many producers those that were silent longest are forgotten, and nobody with an open transaction")
    func producers() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.maintenanceInterval = .milliseconds(20)
            configuration.limits.maximumProducers = 3
        } _: { _, client in
            try await client.createTopic("t")
            var transactional = TransactionalProducer(client: client, transactionalID: "x")
            try await transactional.initialize()
            #expect(try await transactional.add("t") == KafkaErrorCode.none)
            #expect(try await transactional.produce("t", "open") == .none)
            var batches: [RecordBatch] = []
            for number in 0..<6 {
                let identity = try await client.call(InitProducerIDRequest(transactionalID: nil))
                let producer = ProducerIdentity(producerID: identity.producerID, epoch: identity.producerEpoch)
                batches.append(.of([TestRecord(nil, "\(number)")], producer: producer, sequence: 0))
                #expect(try await client.produce("t", batches[number]).baseOffset == Int64(number) + 1)
                // Silence is told apart by the millisecond.
                let written = Date()
                try await eventually("two milliseconds have passed") { Date().timeIntervalSince(written) > 0.002 }
            }
            let request = DescribeProducersRequest(topics: [AddPartitionsToTxnTopic(name: "t", partitions: [0])])
            try await eventually("three producers are left") {
                try await client.call(request).topics[0].partitions[0].producers.count == 3
            }
            let left = try await client.call(request).topics[0].partitions[0].producers
            #expect(left.count { $0.transactionStartOffset == 0 } == 1)
            // The newest is recognised, the oldest is not.
            #expect(try await client.produce("t", batches[5]).baseOffset == 6)
            #expect(try await client.produce("t", batches[0]).baseOffset == 7)
        }
    }
}

extension EventLoopFuture where Value: Sendable {
    fileprivate func isAnswered(within time: Duration) async -> Bool {
        let answer = Answer()
        whenSuccess { _ in answer.hasCome.withLock { $0 = true } }
        let deadline = ContinuousClock.now + time
        // Looks now and then: a future cannot be waited for with a deadline.
        while !answer.hasCome.withLock({ $0 }), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
        return answer.hasCome.withLock { $0 }
    }
}

private final class Answer: Sendable {
    let hasCome = Mutex(false)
}
