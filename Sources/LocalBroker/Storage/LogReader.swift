import GRDB

/// Reads batches that are no longer in memory. Runs on GRDB's reader threads.
enum LogReader {
    struct ColdRead: Sendable {
        var partitionID: Int64
        var offset: Int64
        var upperBound: Int64
        var maximumBytes: Int
    }

    /// Whole batches for each of `reads`, at most `maximumBytes` together; the very first batch is returned however
    /// large it is, so that a reader always gets on.
    static func read(_ reads: [ColdRead], maximumBytes: Int, from database: Database) throws -> [[[UInt8]]] {
        var remaining = maximumBytes
        var isEmpty = true
        var results: [[[UInt8]]] = []
        let query = try SQLiteStatement(
            """
            SELECT size, records FROM batch WHERE partition_id = ? AND last_offset >= ? AND base_offset < ?
            ORDER BY last_offset
            """, in: database)
        for read in reads {
            var batches: [[UInt8]] = []
            var budget = min(read.maximumBytes, remaining)
            defer { query.reset() }
            if budget > 0 {
                query.bind(1, read.partitionID)
                query.bind(2, read.offset)
                query.bind(3, read.upperBound)
                while try query.step() {
                    let size = Int(query.integer(0))
                    guard size <= budget || isEmpty else { break }
                    batches.append(query.bytes(1))
                    budget -= size
                    remaining -= size
                    isEmpty = false
                    if budget <= 0 { break }
                }
            }
            results.append(batches)
        }
        return results
    }

    struct TimestampLookup: Sendable {
        var partitionID: Int64
        var timestamp: Int64
        var logStartOffset: Int64
        var upperBound: Int64
    }

    /// The first record at or after the timestamp.
    ///
    /// In a compressed batch records cannot be told apart; then it is the batch's first offset: a reader that starts
    /// there misses nothing.
    static func find(_ lookup: TimestampLookup, in database: Database) throws -> (offset: Int64, timestamp: Int64)? {
        let query = try SQLiteStatement(
            """
            SELECT id FROM batch WHERE partition_id = ? AND last_offset >= ? AND max_timestamp >= ?
                AND base_offset < ? ORDER BY last_offset LIMIT 1
            """, in: database)
        query.bind(1, lookup.partitionID)
        query.bind(2, lookup.logStartOffset)
        query.bind(3, lookup.timestamp)
        query.bind(4, lookup.upperBound)
        guard try query.step() else { return nil }
        let id = query.integer(0)
        query.reset()
        let fetch = try SQLiteStatement("SELECT records FROM batch WHERE id = ?", in: database)
        fetch.bind(1, id)
        guard try fetch.step() else { return nil }
        let bytes = fetch.bytes(0)
        fetch.reset()
        return bytes.withUnsafeBytes { firstRecord($0, at: lookup.timestamp, from: lookup.logStartOffset) }
    }

    private static func firstRecord(
        _ bytes: UnsafeRawBufferPointer, at timestamp: Int64, from logStartOffset: Int64
    ) -> (offset: Int64, timestamp: Int64)? {
        guard let header = RecordBatchHeader(bytes) else { return nil }
        let wholeBatch = (max(header.baseOffset, logStartOffset), header.maximumTimestamp)
        guard !header.isCompressed, !header.usesLogAppendTime else { return wholeBatch }
        var reader = RecordReader(batch: bytes)
        while let record = reader.next() {
            let time = header.baseTimestamp &+ record.timestampDelta
            let offset = header.baseOffset + Int64(record.offsetDelta)
            if time >= timestamp, offset >= logStartOffset { return (offset, time) }
        }
        return wholeBatch
    }

    /// The record with the largest timestamp (ListOffsets -3); the earliest if several share it.
    static func findMaximum(
        _ lookup: TimestampLookup, in database: Database
    ) throws -> (offset: Int64, timestamp: Int64)? {
        let query = try SQLiteStatement(
            """
            SELECT MAX(max_timestamp) FROM batch WHERE partition_id = ? AND last_offset >= ? AND base_offset < ?
            """, in: database)
        query.bind(1, lookup.partitionID)
        query.bind(2, lookup.logStartOffset)
        query.bind(3, lookup.upperBound)
        guard try query.step(), let maximum = query.optionalInteger(0) else {
            query.reset()
            return nil
        }
        query.reset()
        var exact = lookup
        exact.timestamp = maximum
        return try find(exact, in: database)
    }
}
