import GRDB
import Logging
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
}
