import GRDB
import Logging
import NIOPosix
import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("Storage failure")
struct StorageFailureTests {
    @Test("a broker that cannot write acknowledges nothing and stops with the reason")
    func unwritable() async throws {
        let directory = TemporaryDirectory()
        let broker = try LocalBroker(
            LocalBrokerConfiguration(dataDirectory: directory.path),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let run = Task { try await broker.run() }
        let client = try await TestClient(port: try await broker.boundPort())
        try await client.createTopic("t")
        try await client.produce("t", .of("kept"))
        try await broker.database.write { database in
            try database.execute(
                sql: """
                    CREATE TRIGGER disk_full BEFORE INSERT ON batch
                    BEGIN SELECT RAISE(ABORT, 'no space left on device'); END
                    """)
        }
        await #expect(throws: TestClient.Failure.closed) { try await client.produce("t", .of("lost")) }
        let error = await #expect(throws: OrchestraError.self) { try await run.value }
        #expect(error?.code == .internalError)
        #expect("\(error.map { "\($0)" } ?? "")".contains("no space left on device"))
    }

    @Test("a broker that could not write its last changes does not end as if it had")
    func lastChanges() throws {
        let stop = StopSignal(MultiThreadedEventLoopGroup.singleton.next())
        stop.request()
        try stop.outcome()
        stop.fail(OrchestraError(.internalError, "the disk is full"))
        #expect(throws: OrchestraError.self) { try stop.outcome() }
        stop.request()
        #expect(throws: OrchestraError.self) { try stop.outcome() }
    }

    @Test("of the end of a transaction that cannot be written whole nothing is written")
    func halfAnEnd() async throws {
        let directory = TemporaryDirectory()
        var producer = try await openTransaction(in: directory.path)
        let broker = try LocalBroker(
            LocalBrokerConfiguration(dataDirectory: directory.path),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        // A task, whose error the test looks at.
        let run = Task { try await broker.run() }
        producer.client = try await TestClient(port: try await broker.boundPort())
        try await broker.database.write { database in
            // The marker in the first topic can be written, the one in the second cannot.
            try database.execute(
                sql: """
                    CREATE TRIGGER disk_full BEFORE INSERT ON batch
                    WHEN NEW.partition_id = (SELECT MAX(id) FROM log_partition)
                    BEGIN SELECT RAISE(ABORT, 'no space left on device'); END
                    """)
        }
        await #expect(throws: TestClient.Failure.closed) { try await producer.end(commits: true) }
        await #expect(throws: OrchestraError.self) { try await run.value }
        try await broker.database.write { try $0.execute(sql: "DROP TRIGGER disk_full") }

        let copy = TemporaryDirectory()
        try await producer.client.snapshot(of: directory.path, to: copy.path)
        #expect(try BrokerCheck.run(directory: copy.path).problems == [])
        try await withBroker(in: copy.path) { _, client in
            producer.client = client
            let described = try await client.call(DescribeTransactionsRequest(transactionalIDs: ["x"]))
            #expect(described.transactions.map(\.state) == ["Ongoing"])
            for topic in ["t", "u"] { #expect(try await client.listOffset(topic, -1) == 1) }
            #expect(try await producer.end(commits: true) == .none)
            for topic in ["t", "u"] { #expect(try await client.readAll(topic) == ["0 k=a"]) }
        }
    }

    /// A transaction in two topics.
    private func openTransaction(in directory: String) async throws -> TransactionalProducer {
        var open: TransactionalProducer?
        try await withBroker(in: directory) { _, client in
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            for topic in ["t", "u"] {
                try await client.createTopic(topic)
                #expect(try await producer.add(topic) == KafkaErrorCode.none)
                producer.sequence = 0
                #expect(try await producer.produce(topic, "a") == .none)
            }
            open = producer
        }
        return try #require(open)
    }
}
