import Testing

@testable import LocalBroker

/// AddPartitionsToTxn and AddOffsetsToTxn are answered before what they add is stored.
@Suite("Answers before their changes")
struct RidingChangesTests {
    @Test("what an answered AddPartitionsToTxn has added outlives the broker together with the batch that needs it")
    func withTheBatch() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            var producer = try await producer(client)
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

    @Test("a broker that was killed between the answer and the batch takes the batch, and the offset")
    func killedBetween() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            let producer = try await producer(client)
            let copy = TemporaryDirectory()
            // As a broker leaves it that is killed before the first addition is stored.
            try await client.snapshot(of: directory.path, to: copy.path)
            #expect(try await producer.add("t") == KafkaErrorCode.none)
            let identity = producer.identity
            try await withBroker(in: copy.path) { _, client in
                var producer = TransactionalProducer(client: client, transactionalID: "x", identity: identity)
                let produced = try await producer.produce("t", "a")
                #expect(produced == .none)
                #expect(try await producer.commitOffset(of: "g", 7, in: "t") == [.none])
                #expect(try await client.listOffset("t", -1, isCommitted: true) == 0)
                #expect(try await producer.end(commits: true) == .none)
                #expect(try await client.readAll("t") == ["0 k=a"])
                #expect(try await producer.produce("t", "b") == .invalidTransactionState)
                #expect(try await producer.commitOffset(of: "g", 8, in: "t") == [.invalidTransactionState])
            }
        }
    }

    @Test("a batch that is sent again after the end of its transaction opens no other one")
    func repeatedBatch() async throws {
        let directory = TemporaryDirectory()
        var identity = ProducerIdentity.none
        try await withBroker(in: directory.path) { _, client in
            var producer = try await producer(client)
            identity = producer.identity
            #expect(try await producer.add("t") == KafkaErrorCode.none)
            #expect(try await producer.produce("t", "a") == .none)
            #expect(try await producer.end(commits: true) == .none)
        }
        try await withBroker(in: directory.path) { _, client in
            var producer = TransactionalProducer(client: client, transactionalID: "x", identity: identity)
            #expect(try await producer.produce("t", "a") == .invalidTransactionState)
            let described = try await client.call(DescribeTransactionsRequest(transactionalIDs: ["x"]))
            #expect(described.transactions.map(\.state) == ["CompleteCommit"])
            #expect(try await client.listOffset("t", -1, isCommitted: true) == 2)
        }
    }

    @Test("an addition that nothing follows is stored soon")
    func alone() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            let producer = try await producer(client)
            #expect(try await producer.add("t") == KafkaErrorCode.none)
            try await eventually("the open transaction is on disk") {
                let copy = TemporaryDirectory()
                try await client.snapshot(of: directory.path, to: copy.path)
                var state = ""
                try await withBroker(in: copy.path) { _, client in
                    let described = try await client.call(DescribeTransactionsRequest(transactionalIDs: ["x"]))
                    state = described.transactions.first?.state ?? ""
                }
                return state == "Ongoing"
            }
        }
    }

    /// A producer that has begun nothing, and the topic "t".
    private func producer(_ client: TestClient) async throws -> TransactionalProducer {
        try await client.createTopic("t")
        var producer = TransactionalProducer(client: client, transactionalID: "x")
        try await producer.initialize()
        return producer
    }
}
