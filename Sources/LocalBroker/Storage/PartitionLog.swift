import DequeModule
import OrchestraCore

/// One partition's log as the event loop sees it: where it starts and ends, its producers, its newest batches.
///
/// Two ends are kept apart. `nextOffset` and `ledger` are what has been *assigned*: the next batch is checked against
/// them. `highWatermark` and `lastStableOffset` are what is *on disk*: only below them may anybody read.
final class PartitionLog {
    let id: Int64
    let topicName: String
    let number: Int32

    private(set) var logStartOffset: Int64
    private(set) var nextOffset: Int64
    private(set) var highWatermark: Int64
    /// Where the first transaction that is open on disk starts, else the high watermark.
    private(set) var lastStableOffset: Int64
    var ledger: ProducerLedger
    /// True while the committer holds changes of this log that are not sealed yet.
    var isDirty = false
    /// Fetches that wait for more to read.
    var waiters: [ObjectIdentifier: DelayedFetch] = [:]

    /// The newest batches, without a gap up to `nextOffset`.
    private var tail: Deque<RecordBatch> = []
    private var tailStartOffset: Int64

    // For maintenance.
    /// Up to here the log has been compacted.
    var compactedOffset: Int64
    /// Bytes below and from `compactedOffset` on; nil until maintenance has counted them.
    var compactedBytes: Int64?
    private(set) var uncompactedBytes: Int64?
    /// Bytes of all batches since the broker started.
    private(set) var appendedBytes: Int64 = 0
    /// Batches before the log's start may still lie in the database.
    var hasGarbage: Bool
    /// ``appendedBytes`` when the log's size was last measured.
    var measuredAtBytes: Int64 = -1
    /// Somebody has been told that compressed batches are not compacted.
    var hasToldOfCompression = false
    /// Maintenance need not look before this, in milliseconds since 1970.
    var nextRetentionCheck: Int64 = 0
    var nextCompactionCheck: Int64 = 0
    /// When the first tombstone may go; nil: there is none.
    var nextDeleteHorizon: Int64? = 0

    init(_ stored: StoredPartition, topicName: String, ledger: ProducerLedger = ProducerLedger()) {
        id = stored.id
        self.topicName = topicName
        number = stored.number
        logStartOffset = stored.logStartOffset
        nextOffset = stored.nextOffset
        highWatermark = stored.nextOffset
        tailStartOffset = stored.nextOffset
        compactedOffset = stored.compactedOffset
        hasGarbage = stored.logStartOffset > 0
        self.ledger = ledger
        lastStableOffset = ledger.lastStableOffset(logEndOffset: stored.nextOffset)
    }

    // MARK: Writing

    /// Gives the batch the next offsets and keeps it in the tail.
    ///
    /// - Returns: the batch as it belongs on disk.
    func assign(_ batch: RecordBatch) -> RecordBatch {
        var placed = batch
        placed.assign(baseOffset: nextOffset)
        nextOffset = placed.lastOffset + 1
        uncompactedBytes? += Int64(placed.bytes.count)
        appendedBytes += Int64(placed.bytes.count)
        tail.append(placed)
        return placed
    }

    /// The disk has caught up: readers may go further.
    func publish(highWatermark: Int64, lastStableOffset: Int64) {
        let moved = highWatermark != self.highWatermark || lastStableOffset != self.lastStableOffset
        self.highWatermark = highWatermark
        self.lastStableOffset = lastStableOffset
        guard moved, !waiters.isEmpty else { return }
        for waiter in Array(waiters.values) { waiter.onProgress() }
    }

    /// Raises the log's start.
    func advanceStart(to offset: Int64) {
        guard offset > logStartOffset else { return }
        logStartOffset = offset
        hasGarbage = true
        ledger.truncate(before: offset)
    }

    /// Makes maintenance look at everything again.
    func forgetMaintenance() {
        compactedBytes = nil
        measuredAtBytes = -1
        nextRetentionCheck = 0
        nextCompactionCheck = 0
        nextDeleteHorizon = 0
    }

    /// Takes note of what a round of compaction has counted.
    func noteCompaction(upTo offset: Int64, compactedBytes: Int64, uncompactedBytes: Int64) {
        compactedOffset = max(compactedOffset, offset)
        // The tail holds what has gone: from now on it is read from the database.
        tailStartOffset = max(tailStartOffset, compactedOffset)
        self.compactedBytes = compactedBytes
        self.uncompactedBytes = uncompactedBytes
    }

    // MARK: Reading

    func dropOldestFromTail() {
        guard let dropped = tail.popFirst() else { return }
        tailStartOffset = max(tailStartOffset, dropped.lastOffset + 1)
    }

    /// True if everything from `offset` on can be read from memory.
    func isInTail(_ offset: Int64) -> Bool { offset >= tailStartOffset }

    /// Whole batches from the tail, as many as fit into `maximumBytes`.
    ///
    /// - Parameters:
    ///   - upperBound: batches from here on are not visible.
    ///   - allowsOversizedFirst: the first batch is returned even if it is larger than `maximumBytes`.
    func readTail(
        from offset: Int64, upperBound: Int64, maximumBytes: Int, allowsOversizedFirst: Bool
    ) -> [RecordBatch] {
        var low = tail.startIndex
        var high = tail.endIndex
        while low < high {
            let middle = low + (high - low) / 2
            if tail[middle].lastOffset < offset { low = middle + 1 } else { high = middle }
        }
        var batches: [RecordBatch] = []
        var byteCount = 0
        while low < tail.endIndex {
            let batch = tail[low]
            guard batch.baseOffset < upperBound else { break }
            byteCount += batch.bytes.count
            guard byteCount <= maximumBytes || (batches.isEmpty && allowsOversizedFirst) else { break }
            batches.append(batch)
            low += 1
        }
        return batches
    }
}

/// Bounds the memory of all tails together: the oldest batch of all goes first.
struct TailBudget {
    private var entries: Deque<(log: PartitionLog, byteCount: Int)> = []
    private var byteCount = 0
    let maximumBytes: Int

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    mutating func add(_ batch: RecordBatch, of log: PartitionLog) {
        entries.append((log, batch.bytes.count))
        byteCount += batch.bytes.count
        while byteCount > maximumBytes, let oldest = entries.popFirst() {
            oldest.log.dropOldestFromTail()
            byteCount -= oldest.byteCount
        }
    }
}
