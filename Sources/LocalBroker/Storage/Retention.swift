import GRDB

/// Finds where a log should start by `retention.ms` and `retention.bytes`, and deletes what lies before.
struct Retention: Sendable {
    /// Rows that are deleted in one transaction.
    static let chunkRows = 500

    var partitionID: Int64
    var logStartOffset: Int64
    /// The log may start here at most: the last stable offset.
    var upperBound: Int64
    /// Batches whose newest record is older go; nil: none.
    var oldestTimestamp: Int64?
    /// How many bytes may stay; nil: all.
    var maximumBytes: Int64?

    struct Outcome: Sendable {
        var logStartOffset: Int64
        /// The newest record of the first batch that stays, if any stays.
        var firstTimestamp: Int64?
        /// Rows before the log's start are left over.
        var hasGarbage: Bool
    }

    func find(in database: Database) throws -> Outcome {
        var surplus: Int64 = 0
        if let maximumBytes {
            let sum = try SQLiteStatement(
                "SELECT SUM(size) FROM batch WHERE partition_id = ? AND last_offset >= ?", in: database)
            defer { sum.reset() }
            sum.bind(1, partitionID)
            sum.bind(2, logStartOffset)
            _ = try sum.step()
            surplus = sum.integer(0) - maximumBytes
        }
        let query = try SQLiteStatement(
            """
            SELECT last_offset, max_timestamp, size FROM batch INDEXED BY batch_place
            WHERE partition_id = ? ORDER BY last_offset
            """, in: database)
        defer { query.reset() }
        query.bind(1, partitionID)
        var outcome = Outcome(logStartOffset: logStartOffset, firstTimestamp: nil, hasGarbage: false)
        while try query.step() {
            let (lastOffset, timestamp, size) = (query.integer(0), query.integer(1), query.integer(2))
            guard lastOffset >= logStartOffset else {
                outcome.hasGarbage = true
                continue
            }
            let isTooOld = oldestTimestamp.map { timestamp < $0 } ?? false
            guard lastOffset < upperBound, isTooOld || surplus >= size else {
                outcome.firstTimestamp = timestamp
                break
            }
            surplus -= size
            outcome.logStartOffset = lastOffset + 1
            outcome.hasGarbage = true
        }
        return outcome
    }

    /// Deletes batches that end before `offset`, a few at a time.
    static func deleteBatches(of partitionID: Int64, before offset: Int64, in pool: DatabasePool) async throws {
        var deleted = chunkRows
        while deleted >= chunkRows {
            deleted = try await pool.write { database in
                try database.execute(
                    sql: """
                        DELETE FROM batch WHERE id IN (
                            SELECT id FROM batch WHERE partition_id = ? AND last_offset < ?
                            ORDER BY last_offset LIMIT ?)
                        """, arguments: [partitionID, offset, chunkRows])
                return database.changesCount
            }
            try Task.checkCancellation()
        }
    }
}
