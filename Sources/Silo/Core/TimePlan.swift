/// When a silo looks at what time brings; a value, without I/O.
///
/// There are three reasons to look: something is due; somebody has asked; and, when nothing happens, the next
/// ``longestPause`` is over. Between two looks there is at least a tick, so a busy silo looks once in each tick, and an
/// idle one hardly ever.
package struct TimePlan: Sendable {
    /// The most that is done between two times of bringing the partitions into line with the view and the heartbeats, in
    /// ticks.
    package static let reconcileTicks = 5
    /// After this they are brought into line though nobody has said that anything has changed; and the wall clock,
    /// which may jump, is looked at.
    package static let longestPause = Duration.seconds(2)

    private let tick: Duration
    private var lastReconcile: ContinuousClock.Instant?
    private var wantsReconcile = false

    /// - Parameter tick: how late things may be looked at.
    package init(tick: Duration) {
        self.tick = tick
    }

    /// - Parameter isWanted: whether something has changed since the last call.
    /// - Returns: whether to bring the partitions into line now.
    package mutating func reconciles(at now: ContinuousClock.Instant, isWanted: Bool) -> Bool {
        wantsReconcile = wantsReconcile || isWanted
        guard nextReconcile.map({ $0 <= now }) ?? true else { return false }
        (lastReconcile, wantsReconcile) = (now, false)
        return true
    }

    /// - Parameter due: what is due first, if anything is.
    /// - Returns: how long to wait before the next look.
    package func pause(at now: ContinuousClock.Instant, due: ContinuousClock.Instant?) -> Duration {
        let reconcile = nextReconcile ?? now
        return max(min(due ?? reconcile, reconcile) - now, tick)
    }

    private var nextReconcile: ContinuousClock.Instant? {
        lastReconcile.map { $0 + (wantsReconcile ? tick * TimePlan.reconcileTicks : TimePlan.longestPause) }
    }
}
