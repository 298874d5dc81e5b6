/// Whether what has been read of a compacted changelog can still be completed by reading on; a value, without I/O.
///
/// Compaction drops a tombstone `delete.retention.ms` after it first came across it. A reader that stops at some place,
/// and goes on later than that, may never hear of a deletion, and keep what was deleted for ever. The same happens to one
/// that takes that long from the beginning to the end. So a reader must know that it has read *everything* often enough:
/// whatever stood in the changelog at some moment, the moment at which it asked for the end. From one such moment to the
/// time at which it has read all that stood there at the next, less than ``length`` may pass. If more does, what it has
/// read is worth nothing, and it begins at the beginning.
///
/// The moment counts at which the end was *asked for*, not the one at which it was reached or heard of: a process can be
/// paused between any two of these. An end that is asked for counts what open transactions have written, so that has
/// been decided and read when it is reached. The clock must go on while the machine sleeps, and go about as fast as the
/// broker's: a tenth of the retention is left for what they differ.
package struct TombstoneWindow: Sendable {
    /// How long the last moment may be past.
    package let length: Duration
    /// What stood in the changelog then has been read.
    private var completeAt: ContinuousClock.Instant
    /// The questions for the end, in their order, until all below it has been read. More than one, because a reader that
    /// is always a little behind would never be through with the last.
    private var questions: [(askedAt: ContinuousClock.Instant, end: Int64)] = []
    /// The next offset, as far as it is known.
    private var next: Int64 = 0

    /// - Parameters:
    ///   - retention: how long the changelog keeps tombstones: `delete.retention.ms`.
    ///   - start: before anything is read.
    package init(retention: Duration, start: ContinuousClock.Instant) {
        length = retention * 9 / 10
        completeAt = start
    }

    /// The end was asked for at an instant, and is this.
    package mutating func answered(_ end: Int64, askedAt: ContinuousClock.Instant, at now: ContinuousClock.Instant) {
        questions.append((askedAt, end))
        settle(at: now)
    }

    /// All below this offset has been read.
    package mutating func read(to offset: Int64, at now: ContinuousClock.Instant) {
        next = max(next, offset)
        settle(at: now)
    }

    /// How many offsets there still are to the end that was asked for last; compaction may have emptied some.
    package var unread: Int64 { max((questions.last?.end ?? 0) - next, 0) }

    /// Whether tombstones may have been dropped that were not read. It stays so.
    package func isOver(at now: ContinuousClock.Instant) -> Bool { now - completeAt >= length }

    private mutating func settle(at now: ContinuousClock.Instant) {
        while let question = questions.first, next >= question.end {
            questions.removeFirst()
            // Too late: what was read does not become complete any more.
            guard !isOver(at: now) else { return }
            completeAt = max(completeAt, question.askedAt)
        }
    }
}
