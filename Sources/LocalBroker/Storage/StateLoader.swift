import GRDB
import OrchestraCore

/// What the database held when the broker started.
struct LoadedState: Sendable {
    var topics: [StoredTopic] = []
    var producers: [Int64: [ProducerEntry]] = [:]
    var aborted: [Int64: [AbortedTransaction]] = [:]
    var transactions: [TransactionRow] = []
    var groups: [GroupRow] = []
    var offsets: [OffsetRow] = []
    var pendingOffsets: [PendingOffsetRow] = []
    var nextProducerID: Int64 = 0
    var nextTopicRowID: Int64 = 1
    var nextPartitionRowID: Int64 = 1
    var clusterID = ""
}

/// Reads the state back. Needs no scan of the log: each partition's end is one step into an index.
enum StateLoader {
    static func load(from database: Database) throws -> LoadedState {
        var state = LoadedState()
        state.topics = try topics(database)
        state.nextTopicRowID = try nextID(of: "topic", database)
        state.nextPartitionRowID = try nextID(of: "log_partition", database)
        try loadProducers(into: &state, database)
        state.transactions = try transactions(database)
        try loadGroups(into: &state, database)
        state.nextProducerID = try setting("next_producer_id", database)?.integer ?? 0
        state.clusterID = try setting("cluster_id", database)?.text ?? ""
        return state
    }

    private static func topics(_ database: Database) throws -> [StoredTopic] {
        var partitions: [Int64: [StoredPartition]] = [:]
        let partitionRows = try SQLiteStatement(
            """
            SELECT id, topic_id, number, log_start_offset, next_offset, compacted_offset,
                (SELECT MAX(last_offset) FROM batch WHERE partition_id = log_partition.id)
            FROM log_partition ORDER BY topic_id, number
            """, in: database)
        while try partitionRows.step() {
            let lastOffset = partitionRows.optionalInteger(6) ?? -1
            let partition = StoredPartition(
                id: partitionRows.integer(0), topicID: partitionRows.integer(1),
                number: Int32(truncatingIfNeeded: partitionRows.integer(2)),
                logStartOffset: partitionRows.integer(3),
                nextOffset: max(partitionRows.integer(4), lastOffset + 1),
                compactedOffset: partitionRows.integer(5))
            partitions[partition.topicID, default: []].append(partition)
        }
        var configurations: [Int64: [String: String]] = [:]
        let configRows = try SQLiteStatement("SELECT topic_id, name, value FROM topic_config", in: database)
        while try configRows.step() {
            configurations[configRows.integer(0), default: [:]][configRows.text(1)] = configRows.text(2)
        }
        var topics: [StoredTopic] = []
        let topicRows = try SQLiteStatement("SELECT id, name, id_high, id_low FROM topic", in: database)
        while try topicRows.step() {
            let id = topicRows.integer(0)
            topics.append(
                StoredTopic(
                    id: id, name: topicRows.text(1),
                    topicID: TopicID(
                        high: UInt64(bitPattern: topicRows.integer(2)), low: UInt64(bitPattern: topicRows.integer(3))),
                    configuration: configurations[id] ?? [:], partitions: partitions[id] ?? []))
        }
        return topics
    }

    /// The id after the last that the table ever had, so that ids are never used again.
    private static func nextID(of table: String, _ database: Database) throws -> Int64 {
        let query = try SQLiteStatement("SELECT seq FROM sqlite_sequence WHERE name = ?", in: database)
        query.bind(1, table)
        defer { query.reset() }
        return try query.step() ? query.integer(0) + 1 : 1
    }

    private static func loadProducers(into state: inout LoadedState, _ database: Database) throws {
        let producerRows = try SQLiteStatement(
            """
            SELECT partition_id, producer_id, epoch, transaction_first_offset, last_timestamp, batches FROM producer
            """, in: database)
        while try producerRows.step() {
            let entry = ProducerEntry(
                producerID: producerRows.integer(1), epoch: Int16(truncatingIfNeeded: producerRows.integer(2)),
                batches: try StoredBlob.decode(StoredBatches.self, producerRows.bytes(5)).sequenced,
                transactionFirstOffset: producerRows.optionalInteger(3),
                lastTimestamp: Timestamp(millisecondsSinceEpoch: producerRows.integer(4)))
            state.producers[producerRows.integer(0), default: []].append(entry)
        }
        let abortedRows = try SQLiteStatement(
            "SELECT partition_id, producer_id, first_offset, last_offset, last_stable_offset FROM aborted",
            in: database)
        while try abortedRows.step() {
            state.aborted[abortedRows.integer(0), default: []].append(
                AbortedTransaction(
                    producerID: abortedRows.integer(1), firstOffset: abortedRows.integer(2),
                    lastOffset: abortedRows.integer(3), lastStableOffset: abortedRows.integer(4)))
        }
    }

    private static func transactions(_ database: Database) throws -> [TransactionRow] {
        var rows: [TransactionRow] = []
        let query = try SQLiteStatement(
            "SELECT transactional_id, producer_id, epoch, state, details FROM transaction_state", in: database)
        while try query.step() {
            let transactionalID = query.text(0)
            guard let state = TransactionRow.State(rawValue: query.text(3)) else {
                throw OrchestraError(
                    .quarantined,
                    "transactional id \(transactionalID) is stored with the unknown state '\(query.text(3))'")
            }
            let identity = ProducerIdentity(
                producerID: query.integer(1), epoch: Int16(truncatingIfNeeded: query.integer(2)))
            rows.append(
                try StoredBlob.decode(StoredTransaction.self, query.bytes(4)).row(
                    transactionalID: transactionalID, producer: identity, state: state))
        }
        return rows
    }

    private static func loadGroups(into state: inout LoadedState, _ database: Database) throws {
        let groupRows = try SQLiteStatement("SELECT group_id, details FROM consumer_group", in: database)
        while try groupRows.step() {
            state.groups.append(
                try StoredBlob.decode(StoredGroup.self, groupRows.bytes(1)).row(groupID: groupRows.text(0)))
        }
        let offsetRows = try SQLiteStatement(
            """
            SELECT group_id, topic, partition, next_offset, leader_epoch, metadata, commit_time FROM group_offset
            """, in: database)
        while try offsetRows.step() {
            let (groupID, partition, committed) = offset(offsetRows, from: 0)
            state.offsets.append(OffsetRow(groupID: groupID, partition: partition, committed: committed))
        }
        let pendingRows = try SQLiteStatement(
            """
            SELECT producer_id, group_id, topic, partition, next_offset, leader_epoch, metadata, commit_time
            FROM pending_offset
            """, in: database)
        while try pendingRows.step() {
            let (groupID, partition, committed) = offset(pendingRows, from: 1)
            state.pendingOffsets.append(
                PendingOffsetRow(
                    producerID: pendingRows.integer(0), groupID: groupID, partition: partition, committed: committed))
        }
    }

    private static func offset(
        _ row: SQLiteStatement, from first: Int32
    ) -> (String, TopicPartition, CommittedOffset) {
        (
            row.text(first),
            TopicPartition(topic: row.text(first + 1), partition: Int32(truncatingIfNeeded: row.integer(first + 2))),
            CommittedOffset(
                offset: row.integer(first + 3), leaderEpoch: Int32(truncatingIfNeeded: row.integer(first + 4)),
                metadata: row.text(first + 5),
                commitTime: Timestamp(millisecondsSinceEpoch: row.integer(first + 6)))
        )
    }

    private static func setting(_ name: String, _ database: Database) throws -> (integer: Int64, text: String)? {
        let query = try SQLiteStatement("SELECT value FROM setting WHERE name = ?", in: database)
        query.bind(1, name)
        defer { query.reset() }
        return try query.step() ? (query.integer(0), query.text(0)) : nil
    }
}
