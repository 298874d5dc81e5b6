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
    }

    private var activations: [GrainID: Activation] = [:]
    package private(set) var isOpen = false
    /// Commands that wait or run.
    package private(set) var callCount = 0
    private var callBytes = 0
    private var lastTurn: UInt64 = 0
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
        guard activations[grain] != nil || activations.count < limits.maximumVolatileGrains else {
            throw OrchestraError(
                .overloaded, "the partition of \(grain) has \(activations.count) volatile grains, its limit",
                nextStep: "complete those that are not needed, or lower the idle time")
        }
        callCount += 1
        callBytes += call.size
        activations[grain, default: Activation(lastUsed: now)].waiting.append(call)
        return next(of: grain, at: now)
    }

    /// Ends a turn.
    ///
    /// - Returns: whether it counts, that is, has not been given up; and the next turn of its grain.
    package mutating func finish(
        _ start: Start, _ end: End, at now: ContinuousClock.Instant
    ) -> (counts: Bool, next: Start?) {
        let grain = start.call.request.grain
        guard activations[grain]?.running?.turn == start.turn else { return (false, nil) }
        release(start.call)
        activations[grain]?.running = nil
        activations[grain]?.lastUsed = now
        switch end {
        case .changed(let value):
            activations[grain]?.value = value
            activations[grain]?.version += 1
        case .completed: activations[grain]?.value = nil
        case .failed: break
        }
        return (true, next(of: grain, at: now))
    }

    /// The state after the last turn that has ended.
    package mutating func look(
        at grain: GrainID, _ now: ContinuousClock.Instant
    ) -> (value: any Grain, version: UInt64)? {
        guard let activation = activations[grain], let value = activation.value else { return nil }
        activations[grain]?.lastUsed = now
        return (value, activation.version)
    }

    /// Takes out the commands whose deadline has passed or whose caller has gone. Turns of theirs that have begun are
    /// given up.
    package mutating func takeExpired(
        at now: ContinuousClock.Instant
    ) -> (waiting: [PendingCall], begun: [(call: PendingCall, turn: UInt64)], next: [Start]) {
        guard callCount > 0 else { return ([], [], []) }
        let isOver = { (call: PendingCall) in call.deadline <= now || call.isAnswered }
        var waiting: [PendingCall] = []
        var begun: [(call: PendingCall, turn: UInt64)] = []
        var next: [Start] = []
        for (grain, activation) in activations where !activation.isIdle {
            let over = activation.waiting.filter(isOver)
            if !over.isEmpty {
                activations[grain]?.waiting.removeAll(where: isOver)
                waiting += over
            }
            guard let running = activation.running, isOver(running.call) else { continue }
            begun.append(running)
            activations[grain]?.running = nil
            if let start = self.next(of: grain, at: now) { next.append(start) }
        }
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
        let waiting = activations.values.flatMap(\.waiting)
        let begun = activations.values.compactMap(\.running)
        (activations, isOpen, callCount, callBytes) = ([:], false, 0, 0)
        return (waiting, begun)
    }

    private mutating func release(_ call: PendingCall) {
        callCount -= 1
        callBytes -= call.size
    }

    /// Begins the next turn of a grain, if it has none; forgets a grain without state that nobody waits for.
    private mutating func next(of grain: GrainID, at now: ContinuousClock.Instant) -> Start? {
        guard let activation = activations[grain], activation.running == nil else { return nil }
        guard let call = activations[grain]?.waiting.popFirst() else {
            if activation.value == nil { activations[grain] = nil }
            return nil
        }
        lastTurn += 1
        activations[grain]?.running = (call, lastTurn)
        activations[grain]?.lastUsed = now
        return Start(call: call, turn: lastTurn, value: activation.value)
    }
}
