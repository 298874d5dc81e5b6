import HeapModule
package import OrchestraCore

/// A durable timer, or the end of a grave, that is to come.
package struct TimerEntry: Sendable, Hashable, Comparable {
    package var dueAt: Timestamp
    package var grain: GrainID
    /// `nil`: the grave of the grain expires.
    package var name: String?

    package static func < (left: TimerEntry, right: TimerEntry) -> Bool { left.dueAt < right.dueAt }
}

/// The timers of a partition, earliest first.
///
/// The truth is in the grains' envelopes. Entries here are only added; one whose timer has since been cancelled,
/// moved or fired is recognised when it comes up.
package struct TimerQueue: Sendable {
    private var heap = Heap<TimerEntry>()

    package init() {}

    package var count: Int { heap.count }
    /// When the earliest entry is due.
    package var nextDue: Timestamp? { heap.min?.dueAt }

    package mutating func add(_ entry: TimerEntry) { heap.insert(entry) }

    /// Takes out what is due.
    package mutating func popDue(at now: Timestamp) -> TimerEntry? {
        guard let first = heap.min, first.dueAt <= now else { return nil }
        return heap.popMin()
    }
}
