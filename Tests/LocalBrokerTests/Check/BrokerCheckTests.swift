import Foundation
import GRDB
import NIOCore
import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("broker check")
struct BrokerCheckTests {
    /// A folder with something of everything: committed, aborted and open transactions, group offsets, a pending offset.
    private func fill(_ directory: String) async throws {
        try await withBroker(in: directory) { _, client in
            try await client.createTopic("plain", partitions: 2)
            try await client.createTopic("t")
            try await client.createTopic("u")
            for _ in 0..<5 { try await client.produce("plain", .of("a", "b", "c")) }
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            for (value, commits) in [("a", true), ("b", false), ("c", true)] {
                #expect(try await producer.add("t") == KafkaErrorCode.none)
                #expect(try await producer.produce("t", value) == .none)
                #expect(try await producer.addOffsets(of: "g", 3, in: "plain") == [.none, .none])
                #expect(try await producer.end(commits: commits) == .none)
            }
            var open = TransactionalProducer(client: client, transactionalID: "open")
            try await open.initialize()
            #expect(try await open.add("u") == KafkaErrorCode.none)
            #expect(try await open.produce("u", "open") == .none)
            #expect(try await open.addOffsets(of: "h", 2, in: "plain") == [.none, .none])
        }
    }

    /// Fills a folder, runs `sql` on its database, and checks it.
    private func report(after sql: String) async throws -> BrokerCheckReport {
        let directory = TemporaryDirectory()
        try await fill(directory.path)
        #expect(try BrokerCheck.run(directory: directory.path).problems == [], "before the damage")
        let queue = try DatabaseQueue(path: directory.path + "/" + BrokerDatabase.fileName)
        try await queue.write { database in
            try database.execute(sql: sql)
            let changes = try Int.fetchOne(database, sql: "SELECT changes()") ?? 0
            #expect(changes > 0, "\(sql) changed nothing")
        }
        try queue.close()
        return try BrokerCheck.run(directory: directory.path)
    }

    @Test("a topic that is deleted while batches to it are written leaves nothing behind")
    func deletedWhileWritten() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path, configure: { _ in }) { (broker: LocalBroker, _, client) in
            try await client.createTopic("t")
            let initialized = try await client.call(InitProducerIDRequest(transactionTimeoutMilliseconds: 60_000))
            let producer = ProducerIdentity(producerID: initialized.producerID, epoch: initialized.producerEpoch)
            // What comes while the disk is held is written together.
            let disk = HeldDisk(broker.database)
            let produced = (Int32(0)..<3).map { sequence in
                let batch = RecordBatch.of([TestRecord("k", "v")], producer: producer, sequence: sequence)
                return client.start(ProduceRequest(topic: "t", batch))
            }
            let deleted = client.start(DeleteTopicsRequest(names: ["t"]))
            disk.release()
            for answer in produced {
                #expect(try await answer.get().topics.first?.partitions.first?.error == KafkaErrorCode.none)
            }
            #expect(try await deleted.get().results.map(\.error) == [.none])
        }
        #expect(try BrokerCheck.run(directory: directory.path).problems == [])
    }

    @Test("a sound folder is found sound, and counted")
    func sound() async throws {
        let directory = TemporaryDirectory()
        try await fill(directory.path)
        let report = try BrokerCheck.run(directory: directory.path)
        #expect(report.isSound)
        #expect(report.counts.topics == 3 && report.counts.partitions == 4)
        #expect(report.counts.records == 15 + 6 + 1)
        #expect(report.counts.transactionalIDs == 2 && report.counts.openTransactions == 1)
        #expect(report.counts.groups == 0 && report.counts.groupOffsets == 1)
    }

    private static func partition(of topic: String) -> String {
        "(SELECT p.id FROM log_partition p JOIN topic t ON t.id = p.topic_id WHERE t.name = '\(topic)' AND p.number = 0)"
    }

    @Test(
        "each kind of damage is named",
        arguments: [
            ("UPDATE batch SET records = zeroblob(10) WHERE id = 1", "no record batch"),
            (
                "UPDATE batch SET records = CAST(substr(records, 1, 70) || X'ff' || substr(records, 72) AS BLOB) WHERE id = 1",
                "checksum of the batch is wrong"
            ),
            ("UPDATE batch SET size = 1 WHERE id = 1", "claims"),
            ("UPDATE batch SET producer_epoch = 9 WHERE id = 1", "header and its row disagree"),
            ("DELETE FROM batch WHERE base_offset = 6 AND partition_id = \(partition(of: "plain"))", "are missing"),
            (
                "UPDATE batch SET base_offset = 5 WHERE base_offset = 6 AND partition_id = \(partition(of: "plain"))",
                "overlaps"
            ),
            (
                "UPDATE log_partition SET next_offset = 100 WHERE id = \(partition(of: "plain"))",
                "the newest are missing"
            ),
            ("UPDATE log_partition SET log_start_offset = 100 WHERE id = \(partition(of: "plain"))", "after its end"),
            (
                "DELETE FROM batch WHERE last_offset >= 4 AND partition_id = \(partition(of: "t"))",
                "acknowledged records are missing"
            ),
            ("DELETE FROM aborted", "missing from the aborted list"),
            (
                "INSERT INTO aborted (partition_id, last_offset, producer_id, first_offset, last_stable_offset) "
                    + "VALUES (\(partition(of: "t")), 4, 0, 4, 5)", "there is no marker"
            ),
            (
                "UPDATE producer SET transaction_first_offset = NULL WHERE partition_id = \(partition(of: "u"))",
                "stored as ended"
            ),
            ("DELETE FROM producer WHERE partition_id = \(partition(of: "u"))", "stored nowhere"),
            (
                "UPDATE producer SET transaction_first_offset = 1 WHERE partition_id = \(partition(of: "t"))",
                "but the log holds none"
            ),
            (
                "UPDATE producer SET epoch = -1 WHERE partition_id = \(partition(of: "t"))",
                "a fenced producer could write"
            ),
            ("DELETE FROM transaction_state WHERE transactional_id = 'open'", "belongs to no transactional id"),
            ("DELETE FROM transaction_state WHERE transactional_id = 'open'", "stable reads of it would wait for ever"),
            ("UPDATE setting SET value = 0 WHERE name = 'next_producer_id'", "has not been handed out"),
            ("UPDATE transaction_state SET state = 'odd'", "unknown state"),
            ("UPDATE group_offset SET partition = 7", "does not exist"),
            ("UPDATE topic_config SET value = 'soon'", "Invalid value"),
            ("DELETE FROM topic WHERE name = 'plain'", "belong to no topic"),
            (
                "DELETE FROM log_partition WHERE number = 0 AND topic_id = (SELECT id FROM topic WHERE name = 'plain')",
                "not 0, 1, 2"
            ),
        ])
    func damage(sql: String, expected: String) async throws {
        let needsSetting = sql.contains("topic_config")
        let report = try await report(
            after: needsSetting
                ? "INSERT INTO topic_config (topic_id, name, value) SELECT id, 'retention.ms', 'soon' FROM topic" : sql)
        #expect(!report.isSound)
        #expect(
            report.problems.contains { $0.what.contains(expected) },
            "\(report.problems.map(\.description).joined(separator: "\n"))")
        #expect(report.problems.allSatisfy { !$0.nextStep.isEmpty })
    }

    @Test("an offset beyond a log's end is worth a note")
    func aheadOfLog() async throws {
        let report = try await report(after: "UPDATE group_offset SET next_offset = 999")
        #expect(report.isSound)
        #expect(report.notes.contains { $0.contains("999") })
    }

    @Test("a damaged page is named")
    func damagedPage() async throws {
        let directory = TemporaryDirectory()
        try await fill(directory.path)
        let path = directory.path + "/" + BrokerDatabase.fileName
        // All that is in the write-ahead log has to be in the file itself first.
        let queue = try DatabaseQueue(path: path)
        try await queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        let pageSize = try await queue.read { try Int.fetchOne($0, sql: "PRAGMA page_size") ?? 4096 }
        let root = try await queue.read {
            try Int.fetchOne($0, sql: "SELECT rootpage FROM sqlite_master WHERE name = 'batch_place'") ?? 0
        }
        try queue.close()
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.seek(toOffset: UInt64((root - 1) * pageSize))
        try file.write(contentsOf: Data(repeating: 0x5a, count: pageSize))
        try file.close()
        let report = try BrokerCheck.run(directory: directory.path)
        #expect(report.problems.first?.place == "the database file")
    }

    @Test("a folder in use, without a database, or of a newer version is refused")
    func refused() async throws {
        let directory = TemporaryDirectory()
        var error = #expect(throws: OrchestraError.self) { try BrokerCheck.run(directory: directory.path) }
        #expect(error?.code == .badConfiguration)
        try await withBroker(in: directory.path) { _, _ in
            error = #expect(throws: OrchestraError.self) { try BrokerCheck.run(directory: directory.path) }
            #expect(error?.code == .unavailable)
        }
        let queue = try DatabaseQueue(path: directory.path + "/" + BrokerDatabase.fileName)
        try await queue.write {
            try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('broker-99')")
        }
        try queue.close()
        error = #expect(throws: OrchestraError.self) { try BrokerCheck.run(directory: directory.path) }
        #expect(error?.code == .quarantined)
    }
}
