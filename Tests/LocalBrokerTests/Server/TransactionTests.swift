import Testing

@testable import LocalBroker

@Suite("Transactions over the wire")
struct TransactionTests {
    @Test("committed is seen, aborted is not, open holds back")
    func outcomes() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            for (value, commits) in [("a", true), ("b", false), ("c", true)] {
                #expect(try await producer.add("t") == KafkaErrorCode.none)
                #expect(try await producer.produce("t", value) == .none)
                let stable = try await client.listOffset("t", -1, isCommitted: true)
                #expect(try await client.listOffset("t", -1) == stable + 1)
                #expect(try await producer.end(commits: commits) == .none)
            }
            #expect(try await client.readAll("t") == ["0 k=a", "4 k=c"])
        }
    }

    @Test("a restart keeps open transactions, fences and sequences")
    func restart() async throws {
        let directory = TemporaryDirectory()
        var old = ProducerIdentity.none
        var open = ProducerIdentity.none
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            old = producer.identity
            try await producer.initialize()
            open = producer.identity
            #expect(try await producer.add("t") == KafkaErrorCode.none)
            #expect(try await producer.produce("t", "a") == .none)
        }
        try await withBroker(in: directory.path) { _, client in
            let visible = try await client.readAll("t")
            #expect(visible == [])
            var zombie = TransactionalProducer(client: client, transactionalID: "x", identity: old, sequence: 1)
            #expect(try await zombie.produce("t", "zombie") != .none)
            #expect(try await zombie.end(commits: true) != .none)
            var owner = TransactionalProducer(client: client, transactionalID: "x", identity: open, sequence: 0)
            // The first batch again: its old place, no second copy.
            #expect(try await owner.produce("t", "a") == .none)
            #expect(try await owner.end(commits: true) == .none)
            #expect(try await client.readAll("t") == ["0 k=a"])
        }
    }

    @Test("a partition that was not added is refused")
    func notAdded() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            #expect(try await producer.produce("t", "a") == .invalidTransactionState)
            #expect(try await client.listOffset("t", -1) == 0)
        }
    }

    @Test("a transaction that takes too long is aborted, its producer fenced")
    func timeout() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize(timeout: 100)
            #expect(try await producer.add("t") == KafkaErrorCode.none)
            #expect(try await producer.produce("t", "slow") == .none)
            try await eventually("the last stable offset moves past the abort marker") {
                try await client.listOffset("t", -1, isCommitted: true) == 2
            }
            #expect(try await producer.end(commits: true) != .none)
            #expect(try await client.readAll("t") == [])
        }
    }
}
