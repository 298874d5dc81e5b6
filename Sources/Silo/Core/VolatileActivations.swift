import DequeModule
package import OrchestraCore

/// The volatile grains of one partition, and the commands that wait for them: a value, without I/O.
///
/// It is open while the partition is served; closing it drops everything. Turns of a grain run one after the other; a
/// turn that is given up ends for the grain at once, and what it comes to later is ignored. Bounded in grains and calls.
package struct VolatileActivations: Sendable {
    /// A turn that shall begin now.
    package struct Start: Sendable {
        package var call: PendingCall
        /// Tells it from turns that were given up.
        package var turn: UInt64
        /// `nil`: the grain is new.
        package var value: (any Grain)?
    }

    /// How a turn ended.
    package enum End: Sendable {
        case changed(any Grain)
        case completed
        /// It threw: the grain stays as it was.
        case failed
    }

    private struct Activation {
        /// After the last turn that has ended; `nil` before the first.
        var value: (any Grain)?
        /// Counts the turns that changed it.
        var version: UInt64 = 0
        var running: (call: PendingCall, turn: UInt64)?
        var waiting: Deque<PendingCall> = []
        var lastUsed: ContinuousClock.Instant

        var isIdle: Bool { running == nil && waiting.isEmpty }

        func isRunning(_ condition: (PendingCall) -> Bool) -> Bool { running.map { condition($0.call) } ?? false }

        var earliestDeadline: ContinuousClock.Instant? {
            let waiting = waiting.lazy.map(\.deadline).min()
            guard let running else { return waiting }
            return min(running.call.deadline, waiting ?? running.call.deadline)
        }
    }

    private var activations: [GrainID: Activation] = [:]
    package private(set) var isOpen = false
    /// Commands that wait or run.
    package private(set) var callCount = 0
    private var callBytes = 0
    private var lastTurn: UInt64 = 0
    /// No deadline is earlier; `nil` when nobody waits.
    private var earliestDeadline: ContinuousClock.Instant?
    /// When to look for callers that have gone.
    private var nextLook: ContinuousClock.Instant?

    /// How often callers that have gone are looked for: it takes a look at every grain.
    private static let pauseBetweenLooks = Duration.milliseconds(50)
    private let limits: GrainLimits

    package init(limits: GrainLimits) {
        self.limits = limits
    }

    package var count: Int { activations.count }

    package mutating func open() { isOpen = true }

    /// Takes a command on.
    ///
    /// - Returns: its turn, if it begins at once.
    /// - Throws: ``OrchestraError`` with `overloaded` when there are too many grains or calls.
    package mutating func add(_ call: PendingCall, at now: ContinuousClock.Instant) throws(OrchestraError) -> Start? {
        let grain = call.request.grain
        guard callCount < limits.maximumQueuedCalls,
            callBytes + call.size <= limits.maximumQueuedCallBytes || callCount == 0
        else {
            throw OrchestraError(
                .overloaded,
                "\(callCount) commands (\(callBytes) bytes) are with the volatile grains of the partition of \(grain)",
                nextStep: "try again in a moment")
        }
        let place = activations.index(forKey: grain)
        guard place != nil || activations.count < limits.maximumVolatileGrains else {
            throw OrchestraError(
                .overloaded, "the partition of \(grain) has \(activations.count) volatile grains, its limit",
                nextStep: "complete those that are not needed, or lower the idle time")
        }
        callCount += 1
        callBytes += call.size
        earliestDeadline = min(earliestDeadline ?? call.deadline, call.deadline)
        guard let place else {
            let start = begin(call, nil)
            activations[grain] = Activation(running: (call, start.turn), lastUsed: now)
            return start
        }
        activations.values[place].waiting.append(call)
        return next(at: place, now)
    }

    /// Ends a turn.
    ///
    /// - Returns: whether it counts, that is, has not been given up; and the next turn of its grain.
    package mutating func finish(
        _ start: Start, _ end: End, at now: ContinuousClock.Instant
    ) -> (counts: Bool, next: Start?) {
        guard let place = activations.index(forKey: start.call.request.grain),
            activations.values[place].running?.turn == start.turn
        else { return (false, nil) }
        release(start.call)
        activations.values[place].running = nil
        activations.values[place].lastUsed = now
        switch end {
        case .changed(let value):
            activations.values[place].value = value
            activations.values[place].version += 1
        case .completed: activations.values[place].value = nil
        case .failed: break
        }
        return (true, next(at: place, now))
    }

    /// The state after the last turn that has ended.
    package mutating func look(
        at grain: GrainID, _ now: ContinuousClock.Instant
    ) -> (value: any Grain, version: UInt64)? {
        guard let place = activations.index(forKey: grain), let value = activations.values[place].value else {
            return nil
        }
        activations.values[place].lastUsed = now
        return (value, activations.values[place].version)
    }

    /// Takes out the commands whose deadline has passed or, now and then, whose caller has gone. Turns of theirs that have
    /// begun are given up.
    package mutating func takeExpired(
        at now: ContinuousClock.Instant
    ) -> (waiting: [PendingCall], begun: [(call: PendingCall, turn: UInt64)], next: [Start]) {
        guard callCount > 0, now >= earliestDeadline ?? now || now >= nextLook ?? now else { return ([], [], []) }
        nextLook = now.advanced(by: VolatileActivations.pauseBetweenLooks)
        let isOver = { (call: PendingCall) in call.deadline <= now || call.isAnswered }
        var waiting: [PendingCall] = []
        var begun: [(call: PendingCall, turn: UInt64)] = []
        var next: [Start] = []
        // In an order that follows from the names, so that runs can be replayed.
        let affected = activations.filter { $0.value.waiting.contains(where: isOver) || $0.value.isRunning(isOver) }
        for (grain, activation) in affected.sorted(by: { $0.key.description < $1.key.description }) {
            let over = activation.waiting.filter(isOver)
            if !over.isEmpty {
                activations[grain]?.waiting.removeAll(where: isOver)
                waiting += over
            }
            if let running = activation.running, isOver(running.call) {
                begun.append(running)
                activations[grain]?.running = nil
            }
            if let place = activations.index(forKey: grain), let start = self.next(at: place, now) {
                next.append(start)
            }
        }
        earliestDeadline = activations.values.lazy.compactMap(\.earliestDeadline).min()
        for call in waiting + begun.map(\.call) { release(call) }
        return (waiting, begun, next)
    }

    /// Drops the grains that nobody has called since an instant.
    ///
    /// - Returns: how many.
    package mutating func collect(idleSince instant: ContinuousClock.Instant) -> Int {
        let before = activations.count
        activations = activations.filter { !$0.value.isIdle || $0.value.lastUsed > instant }
        return before - activations.count
    }

    /// Drops everything.
    ///
    /// - Returns: the commands that waited, and those whose turns had begun.
    package mutating func close() -> (waiting: [PendingCall], begun: [(call: PendingCall, turn: UInt64)]) {
        // In an order that follows from the names, so that runs can be replayed.
        let ordered = activations.filter { !$0.value.isIdle }.sorted { $0.key.description < $1.key.description }.map(
            \.value)
        let waiting = ordered.flatMap(\.waiting)
        let begun = ordered.compactMap(\.running)
        (activations, isOpen, callCount, callBytes, earliestDeadline) = ([:], false, 0, 0, nil)
        return (waiting, begun)
    }

    private mutating func release(_ call: PendingCall) {
        callCount -= 1
        callBytes -= call.size
    }

    /// Begins the next turn of a grain, if it has none; forgets a grain without state that nobody waits for.
    private mutating func next(at place: Dictionary<GrainID, Activation>.Index, _ now: ContinuousClock.Instant)
        -> Start?
    {
        guard activations.values[place].running == nil else { return nil }
        guard let call = activations.values[place].waiting.popFirst() else {
            if activations.values[place].value == nil { activations.remove(at: place) }
            return nil
        }
        let start = begin(call, activations.values[place].value)
        activations.values[place].running = (call, start.turn)
        activations.values[place].lastUsed = now
        return start
    }

    private mutating func begin(_ call: PendingCall, _ value: (any Grain)?) -> Start {
        lastTurn += 1
        return Start(call: call, turn: lastTurn, value: value)
    }
}
