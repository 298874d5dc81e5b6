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

/// What a silo's partitions want committed; a value, without I/O.
package struct CommitQueue: Sendable {
    /// How much one transaction holds at most, unless a single batch holds more: so it is over soon.
    package static let maximumRecords = 10_000
    package static let maximumBytes = 8 * 1_024 * 1_024

    private var waiting: [QueuedCommit] = []

    package init() {}

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

    /// One transaction of several batches.
    package static func merged(_ commits: [QueuedCommit]) -> TransactionBatch {
        guard var result = commits.first?.batch else { return TransactionBatch(records: []) }
        // Most are alone; reserving room would copy their records.
        guard commits.count > 1 else { return result }
        result.records.reserveCapacity(commits.reduce(0) { $0 + $1.batch.records.count })
        for commit in commits.dropFirst() {
            result.records += commit.batch.records
            result.offsets.merge(commit.batch.offsets) { _, later in later }
        }
        return result
    }
}
