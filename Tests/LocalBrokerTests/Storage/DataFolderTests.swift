import Foundation
import GRDB
import Logging
import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("Data folder")
struct DataFolderTests {
    private func open(_ path: String) throws(OrchestraError) -> LocalBroker {
        try LocalBroker(
            LocalBrokerConfiguration(dataDirectory: path),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test("two brokers cannot use one folder")
    func lock() throws {
        let directory = TemporaryDirectory()
        let first = try open(directory.path)
        let error = #expect(throws: OrchestraError.self) { try open(directory.path) }
        #expect(error?.code == .unavailable)
        _ = first.database
    }

    @Test("a file that is no database is refused and left alone")
    func noDatabase() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let file = directory.path + "/" + BrokerDatabase.fileName
        let contents = Data(
            "these are my holiday notes, not a database; please do not overwrite them at all, thanks!".utf8)
        try contents.write(to: URL(fileURLWithPath: file))
        let error = #expect(throws: OrchestraError.self) { try open(directory.path) }
        #expect(error?.code == .quarantined)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == contents)
    }

    @Test("another program's database is refused", arguments: [0, 4711])
    func foreignDatabase(applicationID: Int) throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let queue = try DatabaseQueue(path: directory.path + "/" + BrokerDatabase.fileName)
        try queue.write { database in
            try database.execute(sql: "PRAGMA application_id = \(applicationID); CREATE TABLE note (text)")
        }
        try queue.close()
        let error = #expect(throws: OrchestraError.self) { try open(directory.path) }
        #expect(error?.code == .quarantined)
    }

    @Test("a newer schema is refused")
    func newerSchema() throws {
        let directory = TemporaryDirectory()
        do {
            let broker = try open(directory.path)
            try broker.database.write { database in
                try database.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('broker-99')")
                // The registry's own migrations are no business of the broker.
                try database.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('registry-99')")
            }
        }
        let error = #expect(throws: OrchestraError.self) { try open(directory.path) }
        #expect(error?.code == .quarantined)
        #expect(error?.message.contains("broker-99") == true)
        #expect(error?.message.contains("registry-99") == false)
    }

    @Test("a damaged database is refused")
    func damaged() throws {
        let directory = TemporaryDirectory()
        do { _ = try open(directory.path) }
        let file = URL(fileURLWithPath: directory.path + "/" + BrokerDatabase.fileName)
        var contents = try Data(contentsOf: file)
        for index in 100..<contents.count { contents[index] = 0x5a }
        try contents.write(to: file)
        let error = #expect(throws: OrchestraError.self) { try open(directory.path) }
        #expect(error?.code == .quarantined)
    }

    @Test("the cluster id stays")
    func clusterID() async throws {
        let directory = TemporaryDirectory()
        var clusterIDs: [String?] = []
        for _ in 0..<2 {
            try await withBroker(in: directory.path) { _, client in
                clusterIDs.append(try await client.call(MetadataRequest(topics: [])).clusterID)
            }
        }
        #expect(clusterIDs[0] != nil && clusterIDs[0] == clusterIDs[1])
    }
}
