import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// Calls to the grains of a partition.
extension PartitionRuntime {
    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        guard request.timeLeft > .zero else { throw PartitionRuntime.deadlineExceeded(request) }
        // Beyond a day a deadline is none, and instants overflow.
        let deadline = context.clocks.monotonic().advanced(by: min(request.timeLeft, .seconds(86_400)))
        if let kind = context.catalog.volatileKinds[request.grain.type] {
            return try await volatileGrains.handle(request, kind, deadline)
        }
        guard let kind = context.catalog.kinds[request.grain.type] else {
            throw OrchestraError(.unimplemented, "no grain has the type \"\(request.grain.type)\" on this silo")
        }
        switch request.kind {
        case .command: return try await command(request, kind, deadline)
        case .query, .read: return try await query(request, kind, deadline)
        }
    }

    // MARK: Commands

    private func command(
        _ request: GrainCallRequest, _ kind: any GrainKind, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) -> GrainCallReply {
        guard (1...128).contains(request.requestID.utf8.count) else {
            throw OrchestraError(
                .invalidArgument, "a request id of \(request.requestID.utf8.count) bytes", nextStep: "use 1 to 128")
        }
        guard kind.runsImmediately(.command(request.method)) != nil else {
            throw .noHandler("command", request.method, of: "grain type \(kind.type)", has: kind.commands)
        }
        let call = PendingCall(request, deadline: deadline)
        let added = shared.withLock { shared -> Result<Void, OrchestraError> in
            if let failure = shared.failure { return .failure(failure) }
            if shared.isOverBudget { return .failure(context.budget.error) }
            do throws(OrchestraError) {
                try shared.mailbox.add(call)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try added.get()
        work.notify()
        context.attention.ask()
        return try await call.value()
    }

    // MARK: Queries

    private enum Look {
        /// - Parameter tenure: in which it was looked at.
        case at(record: GrainStateRecord, live: (any Grain)?, tenure: Int)
        case wait(QueryWait)
        /// The grain has no state; records that would give it some may still be on their way.
        case absent
        case failed(OrchestraError)
    }

    private func query(
        _ request: GrainCallRequest, _ kind: any GrainKind, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) -> GrainCallReply {
        guard kind.hasQuery(request.method) else {
            throw .noHandler("query", request.method, of: "grain type \(kind.type)", has: kind.queries)
        }
        var request = request
        var hasReadEnds = false
        while true {
            let term = context.lease.term
            switch look(request, deadline) {
            case .failed(let error): throw error
            case .wait(let wait):
                context.attention.ask()
                try await wait.value()
            case .at(let record, let live, let tenure):
                let answer = await answer(request, kind, record, live)
                // Looked at after the state: until now, nobody else has changed it.
                guard context.lease.isHeld(in: term) else {
                    try await waitForLease(request, deadline)
                    continue
                }
                // Decoding can take long: it may be handed over by now.
                guard isServing(in: tenure) else { continue }
                if let reply = try answer.get() { return reply }
                guard request.kind != .read else {
                    throw OrchestraError(.notFound, "\(request.grain) has no answer to \(request.method) yet")
                }
                request.newerThan = UInt64(clamping: record.version)
            case .absent:
                // Records that wait here may wait for the turn that reads.
                guard !hasReadEnds, request.kind != .read else {
                    guard context.lease.isHeld(in: term) else {
                        try await waitForLease(request, deadline)
                        continue
                    }
                    throw OrchestraError(.notFound, "there is no \(request.grain)")
                }
                try await waitForEnds(request, deadline)
                hasReadEnds = true
            }
        }
    }

    private func isServing(in tenure: Int) -> Bool {
        shared.withLock { $0.isServing && $0.tenure == tenure }
    }

    private func waitForLease(
        _ request: GrainCallRequest, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) {
        guard await context.lease.waitUntilHeld(deadline: deadline) else {
            throw OrchestraError(
                .unavailable, "this silo has lost Kafka and cannot answer for \(request.grain)",
                nextStep: "try again in a moment")
        }
    }

    /// Looks at the committed state, or finds out what to wait for.
    private func look(_ request: GrainCallRequest, _ deadline: ContinuousClock.Instant) -> Look {
        shared.withLock { shared in
            if let failure = shared.failure { return .failed(failure) }
            func wait(until condition: QueryWaiters.Condition) -> Look {
                let wait = QueryWait(grain: request.grain, deadline: deadline)
                do throws(OrchestraError) {
                    try shared.waiters.add(wait, until: condition)
                    return .wait(wait)
                } catch {
                    return .failed(error)
                }
            }
            guard shared.isServing else { return wait(until: .serving) }
            if let after = request.after {
                guard let position = shared.takenIn[after.topic] else {
                    return .failed(
                        OrchestraError(.invalidArgument, "\"\(after.topic)\" is no input of \(request.grain.type)"))
                }
                if position < after.offset { return wait(until: .positions([after.topic: after.offset])) }
            }
            switch shared.state.grains[request.grain] {
            case .unreadable(let reason):
                return .failed(OrchestraError(.quarantined, "\(request.grain) cannot be read: \(reason)"))
            case .readable(let record) where record.state != nil:
                if let newerThan = request.newerThan, UInt64(clamping: record.version) <= newerThan {
                    return wait(until: .commit)
                }
                return .at(
                    record: record, live: shared.state.liveGrain(request.grain), tenure: shared.tenure)
            case .readable, nil:
                // A long poll waits for the grain to appear, unless it was there and has gone.
                if request.newerThan == 0, shared.state.grains[request.grain] == nil { return wait(until: .commit) }
                return .absent
            }
        }
    }

    /// Waits until the partition has taken in what its input topics hold now: a trigger that was acknowledged before
    /// this query may still be on its way.
    private func waitForEnds(
        _ request: GrainCallRequest, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) {
        let ends: [String: Int64]
        do {
            ends = try await inputEnds.value()
        } catch {
            throw OrchestraError(
                .unavailable, "Kafka does not say whether \(request.grain) is on its way", nextStep: "try again",
                cause: error)
        }
        while true {
            let wait = QueryWait(grain: request.grain, deadline: deadline)
            let added = shared.withLock { shared -> Result<Bool, OrchestraError> in
                if let failure = shared.failure { return .failure(failure) }
                if shared.isServing, ends.allSatisfy({ shared.takenIn[$0.key, default: 0] >= $0.value }) {
                    return .success(false)
                }
                do throws(OrchestraError) {
                    try shared.waiters.add(wait, until: .positions(ends))
                    return .success(true)
                } catch {
                    return .failure(error)
                }
            }
            guard try added.get() else { return }
            context.attention.ask()
            // Also wakes when the partition has begun anew, from the positions of the last commit.
            try await wait.value()
        }
    }

    /// `nil` if the grain has no answer yet.
    private func answer(
        _ request: GrainCallRequest, _ kind: any GrainKind, _ record: GrainStateRecord, _ live: (any Grain)?
    ) async -> Result<GrainCallReply?, OrchestraError> {
        let version = UInt64(clamping: record.version)
        do {
            let grain = try await decoded(request.grain, kind, record, live)
            let context = QueryContext(grain: request.grain, version: version)
            do {
                let payload = try kind.answer(request.method, request.payload, from: grain, context: context)
                return .success(GrainCallReply(version: version, payload: payload))
            } catch let error as OrchestraError {
                throw error.answered(to: request)
            }
        } catch is NotYet {
            return .success(nil)
        } catch {
            return .failure(.ofHandler(error, grain: request.grain))
        }
    }

    private func decoded(
        _ grain: GrainID, _ kind: any GrainKind, _ record: GrainStateRecord, _ live: (any Grain)?
    ) async throws -> any Grain {
        if let live { return live }
        guard let state = try EncodedState(record) else { return kind.initial() }
        do {
            let value: any Grain
            if let known = try kind.decode(state) {
                value = known
            } else {
                value = try await kind.decodeSuspending(state)
            }
            shared.withLock { $0.state.keepLive(value, grain, version: record.version) }
            return value
        } catch {
            let converted = OrchestraError.ofHandler(error, grain: grain)
            guard converted.code != .unavailable else { throw converted }
            throw OrchestraError(.quarantined, "the state of \(grain) cannot be read", cause: error)
        }
    }

    static func deadlineExceeded(_ request: GrainCallRequest) -> OrchestraError {
        OrchestraError(.deadlineExceeded, "\(request.method) of \(request.grain) was not answered in time")
    }
}
