import GRDB
import OrchestraCore

/// One change of the database. A list of them is one SQLite transaction.
enum WriteOperation: Sendable {
    case appendBatch(partitionID: Int64, RecordBatch)
    case ledger(partitionID: Int64, ProducerLedger.Changes)
    case createTopic(StoredTopic)
    case createPartitions([StoredPartition])
    /// Deletes the topic; its partitions become garbage.
    case deleteTopic(id: Int64, partitionIDs: [Int64])
    case setTopicConfig(topicID: Int64, [String: String])
    /// The log now starts here; batches before it are deleted in the background.
    case setLogStart(partitionID: Int64, logStartOffset: Int64, nextOffset: Int64)
    case transaction(TransactionDirective)
    case group(GroupDirective)
}

struct StoredTopic: Sendable {
    var id: Int64
    var name: String
    var topicID: TopicID
    var configuration: [String: String]
    var partitions: [StoredPartition]
}

struct StoredPartition: Sendable {
    var id: Int64
    var topicID: Int64
    var number: Int32
    var logStartOffset: Int64 = 0
    var nextOffset: Int64 = 0
    /// Up to here the log has been compacted.
    var compactedOffset: Int64 = 0
}

extension WriteOperation {
    /// Applies the change; must run inside a transaction.
    func apply(to database: Database) throws {
        switch self {
        case .appendBatch(let partitionID, let batch): try Self.append(batch, partitionID, database)
        case .ledger(let partitionID, let changes): try Self.apply(changes, partitionID, database)
        case .createTopic(let topic): try Self.create(topic, database)
        case .createPartitions(let partitions): try Self.create(partitions, database)
        case .deleteTopic(let id, let partitionIDs): try Self.deleteTopic(id, partitionIDs, database)
        case .setTopicConfig(let topicID, let values): try Self.setConfig(topicID, values, database)
        case .setLogStart(let partitionID, let logStartOffset, let nextOffset):
            let update = try SQLiteStatement(
                "UPDATE log_partition SET log_start_offset = ?, next_offset = ? WHERE id = ?", in: database)
            update.bind(1, logStartOffset)
            update.bind(2, nextOffset)
            update.bind(3, partitionID)
            try update.run()
        case .transaction(let directive): try Self.apply(directive, database)
        case .group(let directive): try Self.apply(directive, database)
        }
    }

    // MARK: Logs

    private static func append(_ batch: RecordBatch, _ partitionID: Int64, _ database: Database) throws {
        let insert = try SQLiteStatement(
            """
            INSERT INTO batch (partition_id, base_offset, last_offset, max_timestamp, size, attributes, producer_id,
                producer_epoch, base_sequence, records) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, in: database)
        insert.bind(1, partitionID)
        insert.bind(2, batch.baseOffset)
        insert.bind(3, batch.lastOffset)
        insert.bind(4, batch.header.maximumTimestamp)
        insert.bind(5, Int64(batch.bytes.count))
        insert.bind(6, Int64(batch.header.attributes))
        insert.bind(7, batch.header.producerID)
        insert.bind(8, Int64(batch.header.producerEpoch))
        insert.bind(9, Int64(batch.header.baseSequence))
        try insert.run(blob: batch.bytes, at: 10)
    }

    private static func apply(
        _ changes: ProducerLedger.Changes, _ partitionID: Int64, _ database: Database
    ) throws {
        for entry in changes.producers {
            let upsert = try SQLiteStatement(
                """
                INSERT OR REPLACE INTO producer (partition_id, producer_id, epoch, transaction_first_offset,
                    last_timestamp, batches) VALUES (?, ?, ?, ?, ?, ?)
                """, in: database)
            upsert.bind(1, partitionID)
            upsert.bind(2, entry.producerID)
            upsert.bind(3, Int64(entry.epoch))
            upsert.bind(4, entry.transactionFirstOffset)
            upsert.bind(5, entry.lastTimestamp.millisecondsSinceEpoch)
            try upsert.run(blob: StoredBlob.encode(StoredBatches(entry.batches)), at: 6)
        }
        for producerID in changes.removedProducers {
            let delete = try SQLiteStatement(
                "DELETE FROM producer WHERE partition_id = ? AND producer_id = ?", in: database)
            delete.bind(1, partitionID)
            delete.bind(2, producerID)
            try delete.run()
        }
        for aborted in changes.aborted {
            let insert = try SQLiteStatement(
                """
                INSERT OR REPLACE INTO aborted (partition_id, last_offset, producer_id, first_offset,
                    last_stable_offset) VALUES (?, ?, ?, ?, ?)
                """, in: database)
            insert.bind(1, partitionID)
            insert.bind(2, aborted.lastOffset)
            insert.bind(3, aborted.producerID)
            insert.bind(4, aborted.firstOffset)
            insert.bind(5, aborted.lastStableOffset)
            try insert.run()
        }
        if let bound = changes.removeAbortedBelow {
            let delete = try SQLiteStatement(
                "DELETE FROM aborted WHERE partition_id = ? AND last_offset < ?", in: database)
            delete.bind(1, partitionID)
            delete.bind(2, bound)
            try delete.run()
        }
        for offset in changes.removedAborted {
            let delete = try SQLiteStatement(
                "DELETE FROM aborted WHERE partition_id = ? AND last_offset = ?", in: database)
            delete.bind(1, partitionID)
            delete.bind(2, offset)
            try delete.run()
        }
    }

    // MARK: Topics

    private static func create(_ topic: StoredTopic, _ database: Database) throws {
        let insert = try SQLiteStatement(
            "INSERT INTO topic (id, name, id_high, id_low) VALUES (?, ?, ?, ?)", in: database)
        insert.bind(1, topic.id)
        insert.bind(2, topic.name)
        insert.bind(3, Int64(bitPattern: topic.topicID.high))
        insert.bind(4, Int64(bitPattern: topic.topicID.low))
        try insert.run()
        try setConfig(topic.id, topic.configuration, database)
        try create(topic.partitions, database)
    }

    private static func create(_ partitions: [StoredPartition], _ database: Database) throws {
        for partition in partitions {
            let insert = try SQLiteStatement(
                "INSERT INTO log_partition (id, topic_id, number) VALUES (?, ?, ?)", in: database)
            insert.bind(1, partition.id)
            insert.bind(2, partition.topicID)
            insert.bind(3, Int64(partition.number))
            try insert.run()
        }
    }

    private static func setConfig(_ topicID: Int64, _ values: [String: String], _ database: Database) throws {
        let delete = try SQLiteStatement("DELETE FROM topic_config WHERE topic_id = ?", in: database)
        delete.bind(1, topicID)
        try delete.run()
        for (name, value) in values {
            let insert = try SQLiteStatement(
                "INSERT INTO topic_config (topic_id, name, value) VALUES (?, ?, ?)", in: database)
            insert.bind(1, topicID)
            insert.bind(2, name)
            insert.bind(3, value)
            try insert.run()
        }
    }

    private static func deleteTopic(_ id: Int64, _ partitionIDs: [Int64], _ database: Database) throws {
        for sql in [
            "DELETE FROM topic WHERE id = ?", "DELETE FROM topic_config WHERE topic_id = ?",
            "DELETE FROM log_partition WHERE topic_id = ?",
        ] {
            let delete = try SQLiteStatement(sql, in: database)
            delete.bind(1, id)
            try delete.run()
        }
        for partitionID in partitionIDs {
            for sql in [
                "INSERT OR IGNORE INTO garbage (partition_id) VALUES (?)",
                "DELETE FROM producer WHERE partition_id = ?", "DELETE FROM aborted WHERE partition_id = ?",
            ] {
                let statement = try SQLiteStatement(sql, in: database)
                statement.bind(1, partitionID)
                try statement.run()
            }
        }
    }
}
