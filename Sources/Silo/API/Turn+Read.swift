public import OrchestraCore

extension Turn {
    /// Asks another grain a query, in a handler that suspends: the answer comes from what that grain has committed last.
    ///
    /// It waits for nothing that this turn could hold up, so turns that read each other do not block each other; by the
    /// time this turn commits, the other grain may have moved on. A grain that reads itself sees what it was before
    /// this turn. The turn's two seconds go on meanwhile.
    ///
    /// When the other grain's owner cannot be asked (its silo is down, say) and the handler lets that error end the turn,
    /// the turn has not failed: its event, told command or timer waits, and with it those of its partition, and the turn
    /// is run again until the owner is back. A caller's command is answered with the error instead.
    ///
    /// - Parameters:
    ///   - query: what to ask.
    ///   - type: the other grain's type.
    ///   - key: its key, 1 to 512 bytes.
    /// - Returns: the answer.
    /// - Throws: ``OrchestraError``: `notFound` when the grain has no state, or its handler says ``NotYet``;
    ///   `unavailable`, `notOwner`, `overloaded` or `deadlineExceeded` when its owner cannot be asked; what the query's
    ///   handler throws; `invalidArgument` for a key that is no grain key.
    public mutating func read<Q: GrainQuery>(
        _ query: Q, of type: GrainType, key: String
    ) async throws(OrchestraError) -> Q.Reply {
        let target = try GrainID(type: type, key: key)
        guard let calls, let deadline = calls.deadline else {
            throw OrchestraError(.internalError, "a turn of \(grain) reads \(target) where it cannot")
        }
        let now = calls.now()
        let timeLeft = now.duration(to: deadline) - environment.limits.turnTime * Turn.readReserve
        let request = GrainCallRequest(
            requestID: "read", grain: target, kind: .read, method: Q.name, payload: try MessageCoding.encode(query),
            timeLeft: timeLeft, traceParent: traceParent)
        let reply: GrainCallReply
        do {
            reply = try await calls.handler.handle(request)
        } catch {
            // A turn that left its read no time has itself to blame.
            let hadTime = timeLeft >= environment.limits.turnTime / 2 || error.code != .deadlineExceeded
            if error.saysThatNobodyAnswered, hadTime { obstacle = error }
            throw error
        }
        return try MessageCoding.decode(Q.Reply.self, from: reply.payload)
    }

    /// What a read leaves of the turn's time, as a fraction: the handler shall see the error before the turn is abandoned.
    private static let readReserve = 0.05
}

/// How a turn reaches other grains.
package struct TurnCalls: Sendable {
    package var handler: any GrainCallHandler
    package var now: @Sendable () -> ContinuousClock.Instant
    /// When the turn is abandoned. `nil` in a turn that cannot suspend.
    package var deadline: ContinuousClock.Instant?

    package init(handler: any GrainCallHandler, now: @escaping @Sendable () -> ContinuousClock.Instant) {
        self.handler = handler
        self.now = now
    }
}

extension OrchestraError {
    /// Whether the call has not come to its grain, and may do so later.
    package var saysThatNobodyAnswered: Bool {
        [.unavailable, .notOwner, .overloaded, .deadlineExceeded].contains(code)
    }
}
