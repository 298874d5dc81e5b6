import GRDB
import OrchestraCore

// What the coordinators' directives mean as rows.

extension WriteOperation {
    static func apply(_ directive: TransactionDirective, _ database: Database) throws {
        switch directive {
        case .persist(let row):
            let upsert = try SQLiteStatement(
                """
                INSERT OR REPLACE INTO transaction_state (transactional_id, producer_id, epoch, state, details)
                VALUES (?, ?, ?, ?, ?)
                """, in: database)
            upsert.bind(1, row.transactionalID)
            upsert.bind(2, row.producerID)
            upsert.bind(3, Int64(row.epoch))
            upsert.bind(4, row.state.rawValue)
            try upsert.run(blob: StoredBlob.encode(StoredTransaction(row)), at: 5)
        case .remove(let transactionalID):
            let delete = try SQLiteStatement("DELETE FROM transaction_state WHERE transactional_id = ?", in: database)
            delete.bind(1, transactionalID)
            try delete.run()
        case .saveNextProducerID(let next):
            let upsert = try SQLiteStatement(
                "INSERT OR REPLACE INTO setting (name, value) VALUES ('next_producer_id', ?)", in: database)
            upsert.bind(1, next)
            try upsert.run()
        case .finish:
            // Has been turned into markers, ledger changes and offsets where the logs are.
            break
        }
    }

    static func apply(_ directive: GroupDirective, _ database: Database) throws {
        switch directive {
        case .answerJoin, .answerSync:
            break
        case .persistGroup(let row):
            let upsert = try SQLiteStatement(
                "INSERT OR REPLACE INTO consumer_group (group_id, generation, details) VALUES (?, ?, ?)", in: database)
            upsert.bind(1, row.groupID)
            upsert.bind(2, Int64(row.generation))
            try upsert.run(blob: StoredBlob.encode(StoredGroup(row)), at: 3)
        case .removeGroup(let groupID):
            let delete = try SQLiteStatement("DELETE FROM consumer_group WHERE group_id = ?", in: database)
            delete.bind(1, groupID)
            try delete.run()
        case .storeOffset(let groupID, let partition, let committed):
            let upsert = try SQLiteStatement(
                """
                INSERT OR REPLACE INTO group_offset (group_id, topic, partition, next_offset, leader_epoch, metadata,
                    commit_time) VALUES (?, ?, ?, ?, ?, ?, ?)
                """, in: database)
            bind(upsert, from: 1, groupID, partition, committed)
            try upsert.run()
        case .removeOffset(let groupID, let partition):
            let delete = try SQLiteStatement(
                "DELETE FROM group_offset WHERE group_id = ? AND topic = ? AND partition = ?", in: database)
            bind(delete, from: 1, groupID, partition)
            try delete.run()
        case .storePendingOffset(let producerID, let groupID, let partition, let committed):
            let upsert = try SQLiteStatement(
                """
                INSERT OR REPLACE INTO pending_offset (producer_id, group_id, topic, partition, next_offset,
                    leader_epoch, metadata, commit_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """, in: database)
            upsert.bind(1, producerID)
            bind(upsert, from: 2, groupID, partition, committed)
            try upsert.run()
        case .removePendingOffsets(let producerID, let groupID):
            let delete = try SQLiteStatement(
                "DELETE FROM pending_offset WHERE producer_id = ? AND group_id = ?", in: database)
            delete.bind(1, producerID)
            delete.bind(2, groupID)
            try delete.run()
        case .removePendingOffset(let groupID, let partition):
            let delete = try SQLiteStatement(
                "DELETE FROM pending_offset WHERE group_id = ? AND topic = ? AND partition = ?", in: database)
            bind(delete, from: 1, groupID, partition)
            try delete.run()
        }
    }

    private static func bind(
        _ statement: SQLiteStatement, from first: Int32, _ groupID: String, _ partition: TopicPartition
    ) {
        statement.bind(first, groupID)
        statement.bind(first + 1, partition.topic)
        statement.bind(first + 2, Int64(partition.partition))
    }

    private static func bind(
        _ statement: SQLiteStatement, from first: Int32, _ groupID: String, _ partition: TopicPartition,
        _ committed: CommittedOffset
    ) {
        bind(statement, from: first, groupID, partition)
        statement.bind(first + 3, committed.offset)
        statement.bind(first + 4, Int64(committed.leaderEpoch))
        statement.bind(first + 5, committed.metadata)
        statement.bind(first + 6, committed.commitTime.millisecondsSinceEpoch)
    }
}
