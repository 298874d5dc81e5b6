import GRDB

/// One round of compaction of one partition, in small reads and small transactions between those of the clients.
struct CompactionRound: Sendable {
    /// Bytes of batches that are read, and changed, at a time.
    static let chunkBytes = 4 << 20

    var partitionID: Int64
    var logStartOffset: Int64
    var compactedOffset: Int64
    /// Nothing from here on is touched: the last stable offset.
    var upperBound: Int64
    /// Batches with newer records end the round (`min.compaction.lag.ms`).
    var newestTimestamp: Int64
    var minimumCleanableRatio: Double
    var deleteRetention: Int64
    var aborted: [AbortedTransaction]
    var now: Int64
    /// The log's ``PartitionLog/appendedBytes`` when the round was planned.
    var appendedBytes: Int64

    struct Outcome: Sendable {
        var compactedOffset: Int64
        var compactedBytes: Int64
        var uncompactedBytes: Int64
        var nextDeleteHorizon: Int64?
        var hasRun = false
        var hasSeenCompressed = false
        /// Abort markers that may go once their transactions are off the aborted list: row id by offset.
        var retiredMarkers: [Int64: Int64] = [:]
    }

    /// - Throws: what SQLite throws; the log is consistent at every point in between.
    func run(in pool: DatabasePool) async throws -> Outcome {
        let before = try await pool.read { try counts($0, boundary: compactedOffset, horizonsAfter: .min) }
        let isWorthIt =
            before.uncompactedBytes > 0
            && Double(before.uncompactedBytes)
                >= minimumCleanableRatio * Double(before.compactedBytes + before.uncompactedBytes)
        let isHorizonReached = before.nextDeleteHorizon.map { $0 <= now } ?? false
        guard isWorthIt || isHorizonReached else { return before }

        var compactor = Compactor(aborted: aborted, now: now, deleteRetention: deleteRetention)
        var end = compactedOffset
        while let chunk = try await read(pool, from: end), !chunk.isEmpty {
            var isRoom = true
            for batch in chunk {
                guard batch.maximumTimestamp <= newestTimestamp, compactor.note(batch.bytes) else {
                    isRoom = false
                    break
                }
                end = try Self.header(batch).lastOffset + 1
            }
            if !isRoom { break }
        }
        let retiredMarkers = try await rewrite(&compactor, upTo: end, in: pool)
        let compacted = end
        try await pool.write { database in
            try database.execute(
                sql: "UPDATE log_partition SET compacted_offset = ? WHERE id = ?", arguments: [compacted, partitionID])
        }
        var after = try await pool.read { try counts($0, boundary: compacted, horizonsAfter: now) }
        after.hasRun = true
        after.hasSeenCompressed = compactor.hasSeenCompressed
        after.retiredMarkers = retiredMarkers
        return after
    }

    /// - Returns: the retired abort markers: row id by offset.
    private func rewrite(
        _ compactor: inout Compactor, upTo end: Int64, in pool: DatabasePool
    ) async throws -> [Int64: Int64] {
        var retired: [Int64: Int64] = [:]
        var position = logStartOffset
        let lastOffset = try await pool.read { database in
            try Int64.fetchOne(
                database, sql: "SELECT MAX(last_offset) FROM batch WHERE partition_id = ?", arguments: [partitionID])
        }
        while position < end, let chunk = try await read(pool, from: position), !chunk.isEmpty {
            var actions: [(rowID: Int64, action: Compactor.Action)] = []
            for batch in chunk {
                let header = try Self.header(batch)
                guard header.lastOffset < end else {
                    position = end
                    break
                }
                position = header.lastOffset + 1
                guard header.lastOffset != lastOffset else { continue }
                let action = compactor.action(for: batch)
                switch action {
                case .keep: break
                case .retire(let offset): retired[offset] = batch.rowID
                case .delete, .setHorizon, .replace: actions.append((batch.rowID, action))
                }
            }
            let changes = actions
            if !changes.isEmpty { try await pool.write { try Self.apply(changes, to: $0) } }
        }
        return retired
    }

    /// Deletes single batches.
    static func delete(rows: [Int64], in pool: DatabasePool) async throws {
        guard !rows.isEmpty else { return }
        try await pool.write { try apply(rows.map { ($0, .delete) }, to: $0) }
    }

    private static func apply(_ actions: [(rowID: Int64, action: Compactor.Action)], to database: Database) throws {
        for (rowID, action) in actions {
            switch action {
            case .keep, .retire: break
            case .delete:
                let delete = try SQLiteStatement("DELETE FROM batch WHERE id = ?", in: database)
                delete.bind(1, rowID)
                try delete.run()
            case .setHorizon(let horizon):
                let update = try SQLiteStatement("UPDATE batch SET delete_horizon = ? WHERE id = ?", in: database)
                update.bind(1, horizon)
                update.bind(2, rowID)
                try update.run()
            case .replace(let bytes, let horizon):
                let update = try SQLiteStatement(
                    "UPDATE batch SET delete_horizon = ?, size = ?, records = ? WHERE id = ?", in: database)
                update.bind(1, horizon)
                update.bind(2, Int64(bytes.count))
                update.bind(4, rowID)
                try update.run(blob: bytes, at: 3)
            }
        }
    }

    /// The next batches from an offset on, about `chunkBytes` of them.
    private func read(_ pool: DatabasePool, from offset: Int64) async throws -> [Compactor.StoredBatch]? {
        try await pool.read { database in
            let query = try SQLiteStatement(
                """
                SELECT id, max_timestamp, delete_horizon, records FROM batch
                WHERE partition_id = ? AND last_offset >= ? AND last_offset < ? ORDER BY last_offset
                """, in: database)
            defer { query.reset() }
            query.bind(1, partitionID)
            query.bind(2, offset)
            query.bind(3, upperBound)
            var batches: [Compactor.StoredBatch] = []
            var byteCount = 0
            while byteCount < Self.chunkBytes, try query.step() {
                let bytes = query.bytes(3)
                byteCount += bytes.count
                batches.append(
                    Compactor.StoredBatch(
                        rowID: query.integer(0), maximumTimestamp: query.integer(1),
                        deleteHorizon: query.optionalInteger(2), bytes: bytes))
            }
            return batches
        }
    }

    private static func header(_ batch: Compactor.StoredBatch) throws -> RecordBatchHeader {
        guard let header = batch.bytes.withUnsafeBytes({ RecordBatchHeader($0) }) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "row \(batch.rowID) of table batch is no batch")
        }
        return header
    }

    /// - Parameter horizonsAfter: what was due by then has been dealt with: it goes, or waits for another round.
    private func counts(_ database: Database, boundary: Int64, horizonsAfter: Int64) throws -> Outcome {
        let query = try SQLiteStatement(
            """
            SELECT SUM(CASE WHEN last_offset < ? THEN size END), SUM(CASE WHEN last_offset >= ? THEN size END),
                (SELECT MIN(delete_horizon) FROM batch WHERE partition_id = ? AND delete_horizon > ?)
            FROM batch WHERE partition_id = ?
            """, in: database)
        defer { query.reset() }
        query.bind(1, boundary)
        query.bind(2, boundary)
        query.bind(3, partitionID)
        query.bind(4, horizonsAfter)
        query.bind(5, partitionID)
        _ = try query.step()
        return Outcome(
            compactedOffset: boundary, compactedBytes: query.integer(0), uncompactedBytes: query.integer(1),
            nextDeleteHorizon: query.optionalInteger(2))
    }
}
