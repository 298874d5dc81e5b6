package import EventLog

/// A batch that waits to be committed together with those of other partitions.
package struct QueuedCommit: Sendable {
    package var batch: TransactionBatch
    package var outcome: OneShot<Result<Void, EventLogError>>
    /// The bytes of its records.
    fileprivate let size: Int

    package init(batch: TransactionBatch, outcome: OneShot<Result<Void, EventLogError>>) {
        self.batch = batch
        self.outcome = outcome
        size = batch.records.indices.reduce(0) { $0 + batch.records[$1].size }
    }
}

/// What a silo's partitions want committed, and which of their input offsets the consumer group has yet to learn; a
/// value, without I/O.
///
/// The group's offsets are only for tools (`\0progress` is the authority, see ``PartitionRuntime``), and adding them to
/// a transaction takes two more requests. So they are kept here and go along once in a while.
package struct CommitQueue: Sendable {
    /// How much one transaction holds at most, unless a single batch holds more: so it is over soon.
    package static let maximumRecords = 10_000
    package static let maximumBytes = 8 * 1_024 * 1_024

    private var waiting: [QueuedCommit] = []
    private var offsets: [TopicPartition: Int64] = [:]
    private var lastOffsets: ContinuousClock.Instant
    private let offsetInterval: Duration

    /// - Parameter offsetInterval: how old the consumer group's offsets may be.
    package init(offsetInterval: Duration, at instant: ContinuousClock.Instant) {
        self.offsetInterval = offsetInterval
        lastOffsets = instant
    }

    package var isEmpty: Bool { waiting.isEmpty }
    package var count: Int { waiting.count }

    package mutating func add(_ commit: QueuedCommit) { waiting.append(commit) }

    /// Takes the batches of the next transaction, in the order in which they came.
    package mutating func takeNext() -> [QueuedCommit] {
        var (count, records, bytes) = (0, 0, 0)
        for commit in waiting {
            records += commit.batch.records.count
            bytes += commit.size
            if count > 0, records > CommitQueue.maximumRecords || bytes > CommitQueue.maximumBytes { break }
            count += 1
        }
        defer { waiting.removeFirst(count) }
        return Array(waiting.prefix(count))
    }

    /// Takes everything: it will not be committed.
    package mutating func takeAll() -> [QueuedCommit] {
        defer { waiting = [] }
        return waiting
    }

    /// Whether offsets have waited for their time without a transaction to go with.
    package func hasDueOffsets(at instant: ContinuousClock.Instant) -> Bool {
        waiting.isEmpty && !offsets.isEmpty && instant - lastOffsets >= offsetInterval
    }

    /// One transaction of several batches.
    ///
    /// - Parameter isLast: the offsets go along whatever the time.
    package func merged(
        _ commits: [QueuedCommit], groupID: String, at instant: ContinuousClock.Instant, isLast: Bool = false
    ) -> TransactionBatch {
        var result = TransactionBatch(records: [], groupID: groupID)
        if commits.count == 1 {
            result.records = commits[0].batch.records
        } else {
            result.records.reserveCapacity(commits.reduce(0) { $0 + $1.batch.records.count })
            for commit in commits { result.records += commit.batch.records }
        }
        if isLast || instant - lastOffsets >= offsetInterval {
            result.offsets = offsets
            for commit in commits { result.offsets.merge(commit.batch.offsets) { _, later in later } }
        }
        return result
    }

    /// Takes note that a transaction with nothing but offsets has failed: they wait once more.
    package mutating func postponeOffsets(at instant: ContinuousClock.Instant) { lastOffsets = instant }

    /// Takes note that a transaction made by ``merged(_:groupID:at:isLast:)`` has committed.
    package mutating func didCommit(
        _ commits: [QueuedCommit], as transaction: TransactionBatch, at instant: ContinuousClock.Instant
    ) {
        guard transaction.offsets.isEmpty else {
            offsets = [:]
            lastOffsets = instant
            return
        }
        for commit in commits { offsets.merge(commit.batch.offsets) { _, later in later } }
    }
}
