import Logging
import Metrics
import OrchestraCore
import Synchronization

/// What time brings to a partition.
extension PartitionRuntime {
    /// Looks after deadlines, due timers, turns that take too long.
    ///
    /// Whoever adds something to look after asks for ``Attention``.
    ///
    /// - Returns: when to look again at the latest; `nil` if there is nothing. While somebody waits, that is at once: with
    ///   the next tick.
    @discardableResult
    func tick(at instant: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        volatileGrains.tick(at: instant)
        let collection = collectIdleGrains(at: instant)
        for grain in executor.abandonOverdueTurns(at: instant) {
            context.metrics.abandonedTurns.increment()
            logger.error(
                "a turn took too long and was abandoned",
                metadata: ["grain": "\(grain)", "stillRunning": "\(executor.abandonedCount)"])
        }
        // Looked at before what calls come to, which may begin a batch.
        let isBusy = executor.isRunning || volatileGrains.callCount > 0
        let next = lookAtShared(at: instant)
        return isBusy ? instant : .earliest(next, collection)
    }

    /// What time has brought to calls, and when it brings something again.
    private struct Findings {
        /// Calls that have not begun, and those that have, whose time is over.
        var expired: [PendingCall] = []
        var expiredInTurns: [PendingCall] = []
        var expiredWaits: [QueryWait] = []
        /// Whether the budget of all state has been crossed since the last look, in either direction.
        var hasCrossedBudget = false
        /// Whether somebody waits here, so that the next look is at the next tick.
        var isAwaited = false
        /// When the loop has work, and when a follower asks for the end of the changelog.
        var nextWork: ContinuousClock.Instant?
        var nextQuestion: ContinuousClock.Instant?
    }

    /// - Returns: when to look again.
    private func lookAtShared(at instant: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let findings = takeFindings(at: instant)
        for call in findings.expired { call.fail(PartitionRuntime.deadlineExceeded(call.request)) }
        for call in findings.expiredInTurns {
            call.fail(
                OrchestraError(
                    .outcomeUnknown, "\(call.request.method) of \(call.request.grain) had begun when its time was over",
                    nextStep: "repeat it with the same request id"))
        }
        for wait in findings.expiredWaits {
            wait.fail(OrchestraError(.deadlineExceeded, "a query of \(wait.grain) waited until its deadline"))
        }
        let hasWork = findings.nextWork.map { $0 <= instant } ?? false
        if findings.hasCrossedBudget || hasWork { work.notify() }
        if let question = findings.nextQuestion, question <= instant { nomination.notify() }
        return findings.isAwaited ? instant : .earliest(findings.nextWork, findings.nextQuestion)
    }

    private func takeFindings(at instant: ContinuousClock.Instant) -> Findings {
        let wall = context.clocks.wall()
        let isOverBudget = context.budget.isExceeded
        let findings = shared.withLock { shared in
            var findings = Findings()
            findings.expired = shared.mailbox.takeExpired(at: instant)
            findings.expiredInTurns = shared.inFlight.filter { $0.deadline <= instant && !$0.isAnswered }
            findings.expiredWaits = shared.waiters.takeExpired(at: instant)
            findings.hasCrossedBudget = shared.isOverBudget != isOverBudget
            shared.isOverBudget = isOverBudget
            findings.isAwaited = !shared.mailbox.isEmpty || !shared.inFlight.isEmpty || shared.waiters.count > 0
            if shared.lifecycle.state == .following { findings.nextQuestion = shared.tail?.nextLook }
            if shared.isServing { findings.nextWork = nextWork(shared, at: instant, wall) }
            return findings
        }
        if findings.hasCrossedBudget, isOverBudget {
            logger.error("no more input is taken", metadata: ["reason": "\(context.budget.error)"])
        }
        return findings
    }

    /// Drops what has not been used for half the idle time or longer.
    ///
    /// - Returns: when to do that again.
    private func collectIdleGrains(at instant: ContinuousClock.Instant) -> ContinuousClock.Instant {
        let period = context.origin.limits.idleTime / 2
        let (dropped, next) = shared.withLock { shared -> (Int?, ContinuousClock.Instant) in
            let last = shared.collectedAt ?? instant
            shared.collectedAt = last
            guard instant - last >= period else { return (nil, last + period) }
            shared.collectedAt = instant
            return (shared.state.dropIdle(), instant + period)
        }
        guard let dropped else { return next }
        let lost = volatileGrains.collect(idleSince: instant - period)
        context.metrics.collectedGrains.increment(by: Int64(dropped + lost))
        if dropped + lost > 0 {
            logger.debug("idle grains are collected", metadata: ["durable": "\(dropped)", "volatile": "\(lost)"])
        }
        return next
    }

    /// When there is something for the loop to do that nobody but the clock tells it; in the past: it is due.
    private func nextWork(
        _ shared: Shared, at instant: ContinuousClock.Instant, _ wall: Timestamp
    ) -> ContinuousClock.Instant? {
        var next = shared.obstructedUntil
        if next == nil, let due = shared.state.timers.nextDue {
            next = instant + PartitionRuntime.wait(for: due, from: shared.state.time(at: wall))
        }
        if let paused = shared.pausedUntil { return .earliest(next, paused) }
        if let blocked = shared.recordsBlockedUntil { return .earliest(next, blocked) }
        return .earliest(next, shared.positionsAheadSince.map { $0 + PartitionRuntime.positionDelay })
    }

    /// At most an hour: the wall clock may jump, and what is far away need not fit.
    static func wait(for due: Timestamp, from now: Timestamp) -> Duration {
        let hour = Duration.seconds(3_600)
        guard due > now else { return .zero }
        guard due < now.advanced(by: hour) else { return hour }
        return .milliseconds(due.millisecondsSinceEpoch - now.millisecondsSinceEpoch)
    }
}

extension ContinuousClock.Instant? {
    /// The earlier of two instants; `nil` is never.
    static func earliest(_ one: Self, _ other: Self) -> Self {
        guard let one, let other else { return one ?? other }
        return Swift.min(one, other)
    }
}
