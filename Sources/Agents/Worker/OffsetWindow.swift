import DequeModule

/// How far a partition has been worked off when tasks end in any order.
///
/// Records begin in the order of their offsets and end in any. The *low-water mark* is the offset of the first record that
/// has not ended: only up to there a commit is allowed, because everything behind a commit is never read again.
package struct OffsetWindow: Sendable {
    private struct Entry {
        let offset: Int64
        var isFinished = false
    }

    /// Records from the low-water mark on, in the order of their offsets. The first one has not ended.
    private var entries: Deque<Entry> = []
    private var last: Int64?
    /// The next offset to read, once something has ended at the low-water mark.
    private var nextOffset: Int64?
    private var committedOffset: Int64?

    package init() {}

    /// How many records lie between the low-water mark and the newest: those that would be read again after a crash.
    package var count: Int { entries.count }

    /// Takes a record in.
    ///
    /// - Returns: `false` for a record that has been taken in before (a broker's repetition): do not work on it again.
    package mutating func begin(_ offset: Int64) -> Bool {
        if let last, offset <= last { return false }
        last = offset
        entries.append(Entry(offset: offset))
        return true
    }

    /// Marks a record as done. A record that is unknown or done already changes nothing.
    package mutating func finish(_ offset: Int64) {
        guard let index = index(of: offset) else { return }
        entries[index].isFinished = true
        while let first = entries.first, first.isFinished {
            entries.removeFirst()
            // Offsets between this record and the next are control markers or compacted: the next read skips them.
            nextOffset = first.offset + 1
        }
    }

    /// What a commit may say: the next offset to read. `nil` if that is committed already.
    package var committable: Int64? { nextOffset == committedOffset ? nil : nextOffset }

    /// Notes that a commit of `offset` has succeeded.
    package mutating func committed(_ offset: Int64) {
        committedOffset = max(committedOffset ?? offset, offset)
    }

    private func index(of offset: Int64) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].offset == offset ? low : nil
    }
}
