import Foundation
import GRDB
package import OrchestraCore

// `orchestra broker check`: reads a whole data folder and compares everything that must agree. It changes nothing, and
// holds one batch at a time, so the size of the folder does not matter.
//
//     the file       SQLite's own integrity check, schema
//     topics         settings, partitions numbered from 0
//     logs           PartitionCheck: order, checksums, counts; producers, open and aborted transactions
//     transactions   what is open in a log belongs to an open transaction of a transactional id, and the other way round
//     groups         offsets of partitions that exist; pending offsets belong to open transactions
//
/// Verifies a broker's data folder while no broker runs.
package enum BrokerCheck {
    /// Reads everything and says what is wrong.
    ///
    /// - Parameter directory: the data folder, with `broker.sqlite` in it.
    /// - Throws: ``OrchestraError``: `badConfiguration` if there is no database, `unavailable` if a broker uses it,
    ///   `quarantined` if it is no database of ours, or a newer one, or too damaged to be opened.
    package static func run(directory: String) throws(OrchestraError) -> BrokerCheckReport {
        let path = directory + "/" + BrokerDatabase.fileName
        guard FileManager.default.fileExists(atPath: path) else {
            throw OrchestraError(
                .badConfiguration, "there is no \(path)", nextStep: "name the folder of a broker with --data-dir")
        }
        let lock = try DirectoryLock(directory: directory)
        defer { withExtendedLifetime(lock) {} }
        do {
            let queue = try BrokerDatabase.openForReading(path)
            // Outside of a transaction: of a damaged file not even the end of one can be relied on. The lock keeps others out.
            return try queue.unsafeRead { database in
                var check = Pass(database: database)
                try check.run()
                return check.report
            }
        } catch let error as OrchestraError {
            throw error
        } catch {
            throw BrokerDatabase.damaged(path, error)
        }
    }
}

/// One run over the database.
private struct Pass {
    let database: Database
    var report = BrokerCheckReport()
    private var partitions: [Int64: (topic: String, stored: StoredPartition)] = [:]
    /// Topic → partition number → the log's end.
    private var ends: [TopicPartition: Int64] = [:]
    /// Producer id → partitions in which its transaction is open.
    private var open: [Int64: [TopicPartition]] = [:]

    init(database: Database) { self.database = database }

    mutating func run() throws {
        guard try checkFile() else { return }
        let state: LoadedState
        do {
            state = try StateLoader.load(from: database)
        } catch {
            report.add(
                "the stored state", "it cannot be read, and the broker would not start: \(error)",
                nextStep: CheckAdvice.restore)
            return
        }
        checkTopics(state)
        try checkLogs(state)
        try checkOrphans()
        checkTransactions(state)
        checkGroups(state)
    }

    /// - Returns: false if the file is too damaged to go on.
    private mutating func checkFile() throws -> Bool {
        let findings: [String]
        do {
            findings = try String.fetchAll(database, sql: "PRAGMA integrity_check(50)")
        } catch {
            findings = ["\(error)"]
        }
        for finding in findings where finding != "ok" {
            report.add("the database file", "SQLite finds it damaged: \(finding)", nextStep: CheckAdvice.restore)
        }
        return findings == ["ok"]
    }

    // MARK: Topics and logs

    private mutating func checkTopics(_ state: LoadedState) {
        report.counts.topics = state.topics.count
        for topic in state.topics {
            for partition in topic.partitions { partitions[partition.id] = (topic.name, partition) }
            report.counts.partitions += topic.partitions.count
            if topic.partitions.map(\.number) != Array(0..<Int32(topic.partitions.count)) || topic.partitions.isEmpty {
                report.add(
                    "topic \(topic.name)",
                    "its partitions are \(topic.partitions.map { "\($0.number)" }.joined(separator: ", ")), not 0, 1, 2 and "
                        + "so on", nextStep: CheckAdvice.restore)
            }
            do {
                _ = try TopicConfiguration(topic.configuration)
            } catch {
                report.add("topic \(topic.name)", error.message, nextStep: CheckAdvice.restore)
            }
        }
    }

    private mutating func checkLogs(_ state: LoadedState) throws {
        let query = try SQLiteStatement(
            """
            SELECT id, base_offset, last_offset, max_timestamp, size, attributes, producer_id, producer_epoch,
                base_sequence, records FROM batch WHERE partition_id = ? ORDER BY last_offset, base_offset
            """, in: database)
        let stored = try storedEnds()
        for (id, partition) in partitions.sorted(by: { $0.key < $1.key }) {
            var row = partition.stored
            row.nextOffset = stored[id] ?? row.nextOffset
            var check = PartitionCheck(row, topic: partition.topic)
            query.bind(1, id)
            while try query.step() { check.add(PartitionCheck.Row(query), to: &report) }
            let open = check.finish(
                producers: (state.producers[id] ?? []).sorted { $0.producerID < $1.producerID },
                aborted: state.aborted[id] ?? [], &report)
            let place = TopicPartition(topic: partition.topic, partition: row.number)
            for producerID in open.keys { self.open[producerID, default: []].append(place) }
            ends[place] = check.endOffset
            report.counts.batches += check.batchCount
            report.counts.records += check.recordCount
            report.counts.bytes += check.byteCount
        }
    }

    /// The ends of logs as they are stored, which ``StateLoader`` corrects by the batches.
    private func storedEnds() throws -> [Int64: Int64] {
        var ends: [Int64: Int64] = [:]
        let query = try SQLiteStatement("SELECT id, next_offset FROM log_partition", in: database)
        while try query.step() { ends[query.integer(0)] = query.integer(1) }
        return ends
    }

    /// Rows of partitions that do not exist. (Those of deleted topics are on the list of garbage.)
    private mutating func checkOrphans() throws {
        let known = "SELECT id FROM log_partition"
        for (what, sql) in [
            (
                "batches",
                """
                SELECT partition_id, COUNT(*) FROM batch WHERE partition_id NOT IN (\(known))
                    AND partition_id NOT IN (SELECT partition_id FROM garbage) GROUP BY partition_id
                """
            ),
            (
                "producers",
                "SELECT partition_id, COUNT(*) FROM producer WHERE partition_id NOT IN (\(known)) GROUP BY partition_id"
            ),
            (
                "aborted transactions",
                "SELECT partition_id, COUNT(*) FROM aborted WHERE partition_id NOT IN (\(known)) GROUP BY partition_id"
            ),
            (
                "partitions",
                """
                SELECT id, COUNT(*) FROM log_partition WHERE topic_id NOT IN (SELECT id FROM topic) GROUP BY id
                """
            ),
        ] {
            let query = try SQLiteStatement(sql, in: database)
            while try query.step() {
                report.add(
                    "partition number \(query.integer(0)) of the database",
                    "\(query.integer(1)) \(what) belong to no topic", nextStep: CheckAdvice.report)
            }
        }
        let garbage = try SQLiteStatement(
            "SELECT COUNT(*) FROM batch WHERE partition_id IN (SELECT partition_id FROM garbage)", in: database)
        defer { garbage.reset() }
        if try garbage.step(), garbage.integer(0) > 0 {
            report.note("\(garbage.integer(0)) batches of deleted topics wait for the broker to delete them")
        }
    }

    // MARK: Transactions and groups

    private mutating func checkTransactions(_ state: LoadedState) {
        report.counts.transactionalIDs = state.transactions.count
        let ongoing = state.transactions.filter { $0.state == .ongoing }
        report.counts.openTransactions = ongoing.count
        let byProducer = Dictionary(ongoing.map { ($0.producerID, $0) }, uniquingKeysWith: { first, _ in first })
        for (producerID, places) in open.sorted(by: { $0.key < $1.key }) {
            for place in places where byProducer[producerID]?.partitions.contains(place) != true {
                report.add(
                    "topic \(place.topic), partition \(place.partition)",
                    "the open transaction of producer \(producerID) belongs to no transactional id: nothing would ever end it, and "
                        + "readers of committed records stop there", nextStep: CheckAdvice.dropTopic)
            }
        }
        for row in ongoing {
            for partition in row.partitions where ends[partition] == nil {
                report.add(
                    "transactional id \(row.transactionalID)",
                    "its open transaction names partition \(partition), which does not exist",
                    nextStep: CheckAdvice.initialize)
            }
        }
        for row in state.transactions where row.producerID >= state.nextProducerID {
            report.add(
                "transactional id \(row.transactionalID)",
                "its producer id \(row.producerID) has not been handed out yet (the next is \(state.nextProducerID)): "
                    + "another producer could get it", nextStep: CheckAdvice.restore)
        }
    }

    private mutating func checkGroups(_ state: LoadedState) {
        report.counts.groups = state.groups.count
        report.counts.groupOffsets = state.offsets.count
        for row in state.offsets {
            guard let end = ends[row.partition] else {
                report.add(
                    "group \(row.groupID)", "it has an offset of partition \(row.partition), which does not exist",
                    nextStep: "start the broker and delete the offset (OffsetDelete), or the group")
                continue
            }
            if row.committed.offset > end {
                // A client may commit what it likes.
                report.note(
                    "group \(row.groupID) has read up to \(row.committed.offset) of \(row.partition), which ends at \(end)"
                )
            }
        }
        let ongoing = state.transactions.filter { $0.state == .ongoing }
        for row in state.pendingOffsets {
            let isOpen = ongoing.contains { $0.producerID == row.producerID && $0.groups.contains(row.groupID) }
            guard !isOpen else { continue }
            report.add(
                "group \(row.groupID)",
                "an offset of \(row.partition) waits for the end of a transaction of producer \(row.producerID), which is not "
                    + "open: stable reads of it would wait for ever",
                nextStep: "start the broker and delete the offset (OffsetDelete), or the group")
        }
    }
}

extension PartitionCheck.Row {
    fileprivate init(_ query: SQLiteStatement) {
        self.init(
            id: query.integer(0), baseOffset: query.integer(1), lastOffset: query.integer(2),
            maximumTimestamp: query.integer(3), size: query.integer(4),
            attributes: Int16(truncatingIfNeeded: query.integer(5)), producerID: query.integer(6),
            producerEpoch: Int16(truncatingIfNeeded: query.integer(7)),
            baseSequence: Int32(truncatingIfNeeded: query.integer(8)), bytes: query.bytes(9))
    }
}
