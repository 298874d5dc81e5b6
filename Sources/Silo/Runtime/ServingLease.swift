import Synchronization

/// The right to answer from memory: until when nobody else can have changed what this silo has committed last.
///
/// It begins with each heartbeat that Kafka has committed and lasts from the moment that this heartbeat was *sent*.
/// Whoever takes over fences this silo, after which no heartbeat of it commits, and waits until the last one that
/// arrived has run out. The clock goes on while a process is paused, so a silo that wakes up finds its lease run out by
/// itself. The only assumption is that clocks run at about the same rate.
final class ServingLease: Sendable {
    /// How long a heartbeat counts.
    static let duration = Duration.seconds(2)
    /// Successors wait a little longer: clocks need not run at quite the same rate.
    static let margin = Duration.milliseconds(100)

    private struct State {
        var end: ContinuousClock.Instant?
        var term = 0
        var waiting: [OneShot<Void>] = []

        func isHeld(at now: ContinuousClock.Instant) -> Bool { end.map { now < $0 } ?? false }
    }

    private let state = Mutex(State())
    private let clocks: Clocks
    private let attention: Attention
    private let isPermanent: Bool

    /// - Parameters:
    ///   - attention: is asked for when somebody waits.
    ///   - isPermanent: for a partition that nobody else can take over.
    init(clocks: Clocks, attention: Attention = Attention(), isPermanent: Bool = false) {
        self.clocks = clocks
        self.attention = attention
        self.isPermanent = isPermanent
    }

    var isHeld: Bool {
        isPermanent || state.withLock { $0.isHeld(at: clocks.monotonic()) }
    }

    /// How many wait for it.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Counts how often the lease has been revoked. What was looked at in one term must not be answered in another.
    var term: Int { state.withLock { $0.term } }

    /// Whether the lease is held, and has not been revoked since `term`.
    func isHeld(in term: Int) -> Bool {
        isPermanent || state.withLock { $0.term == term && $0.isHeld(at: clocks.monotonic()) }
    }

    /// The silo's producer has ended: what it has committed may have been changed by others.
    func revoke() {
        state.withLock { state in
            state.end = nil
            state.term += 1
        }
    }

    /// A heartbeat that was sent at this instant has been committed.
    func renew(sentAt: ContinuousClock.Instant) {
        state.withLock { $0.end = max($0.end ?? sentAt, sentAt + ServingLease.duration) }
        tick()
    }

    /// Waits until the lease is held, or has been renewed.
    ///
    /// - Returns: `false` if that has not happened by `deadline` (within one pause of the silo's ticker), or the task was
    ///   cancelled.
    func waitUntilHeld(deadline: ContinuousClock.Instant) async -> Bool {
        while !isHeld {
            guard !Task.isCancelled, clocks.monotonic() < deadline else { return false }
            let wait = OneShot<Void>()
            state.withLock { $0.waiting.append(wait) }
            attention.ask()
            if isHeld { return true }
            await wait.value(ifCancelled: ())
        }
        return true
    }

    /// Wakes who waits, to look at its deadline. To be called in every tick while somebody does.
    ///
    /// - Returns: whether somebody did.
    @discardableResult
    func tick() -> Bool {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for wait in waiting { wait.resolve(()) }
        return !waiting.isEmpty
    }
}
