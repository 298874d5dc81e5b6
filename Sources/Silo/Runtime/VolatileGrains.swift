import Logging
import Metrics
import OrchestraCore
import Synchronization

/// Runs the volatile grains of one partition while it is served.
///
/// A turn whose handler does not suspend runs where the call came in. The others have tasks of their own, beside the
/// partition's batches: a batch never waits for them, whatever they wait for. As with abandoned turns of durable grains,
/// a turn that never ends cannot be awaited, so these tasks are not structured: this owns them, cancels those that it
/// gives up, and forgets them when they end.
///
/// Answers from memory need the lease: while it is held, no other silo serves the partition, so there is one
/// activation of a grain.
final class VolatileGrains: Sendable {
    private struct State {
        var activations: VolatileActivations
        var tasks: [UInt64: Task<Void, Never>] = [:]
    }

    private let partition: Int32
    private let context: PartitionContext
    private let state: Mutex<State>

    init(partition: Int32, context: PartitionContext) {
        self.partition = partition
        self.context = context
        state = Mutex(State(activations: VolatileActivations(limits: context.origin.limits)))
    }

    /// How many grains are in memory.
    var count: Int { state.withLock { $0.activations.count } }
    /// How many commands wait or run.
    var callCount: Int { state.withLock { $0.activations.callCount } }

    /// The partition is served from now on.
    func open() { state.withLock { $0.activations.open() } }

    /// The partition is not served any more: the grains are lost.
    func close() {
        let (waiting, begun, tasks) = state.withLock { state in
            let (waiting, begun) = state.activations.close()
            return (waiting, begun, begun.compactMap { state.tasks[$0.turn] })
        }
        for task in tasks { task.cancel() }
        for call in waiting { call.fail(PartitionRuntime.moved(partition)) }
        for (call, _) in begun {
            call.fail(
                OrchestraError(
                    .outcomeUnknown,
                    "\(call.request.grain) was lost with its partition while \(call.request.method) ran",
                    nextStep: "repeat it if it may happen twice"))
        }
    }

    // MARK: Calls

    func handle(
        _ request: GrainCallRequest, _ kind: any VolatileKind, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) -> GrainCallReply {
        switch request.kind {
        case .command: return try await command(request, kind, deadline)
        case .query, .read: return try await query(request, kind, deadline)
        }
    }

    private func command(
        _ request: GrainCallRequest, _ kind: any VolatileKind, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) -> GrainCallReply {
        guard kind.hasCommand(request.method) else {
            throw .noHandler("command", request.method, of: "volatile grain \(kind.type)", has: kind.commands)
        }
        try request.checkForCycle()
        let term = context.lease.term
        try await waitForLease(request, term, deadline)
        let call = PendingCall(request, deadline: deadline)
        let now = context.clocks.monotonic()
        let start = try withActivations { activations throws(OrchestraError) in
            try activations.add(call, at: now)
        }
        context.attention.ask()
        if let start { beginHere(start, kind) }
        let reply = try await call.value()
        // If somebody else may have served the partition meanwhile, this is not the grain's answer.
        do throws(OrchestraError) {
            try await waitForLease(request, term, deadline)
        } catch {
            throw OrchestraError(
                .outcomeUnknown, "\(request.method) of \(request.grain) ran while its silo lost Kafka",
                nextStep: "repeat it if it may happen twice", cause: error)
        }
        return reply
    }

    private func query(
        _ request: GrainCallRequest, _ kind: any VolatileKind, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) -> GrainCallReply {
        guard kind.hasQuery(request.method) else {
            throw .noHandler("query", request.method, of: "volatile grain \(kind.type)", has: kind.queries)
        }
        guard request.newerThan == nil, request.after == nil else {
            throw OrchestraError(
                .invalidArgument, "\(request.grain) is volatile: it has no versions or records to wait for")
        }
        let term = context.lease.term
        let now = context.clocks.monotonic()
        let found = try withActivations { $0.look(at: request.grain, now) }
        try await waitForLease(request, term, deadline)
        guard let found else { throw OrchestraError(.notFound, "there is no \(request.grain)") }
        let about = QueryContext(grain: request.grain, version: found.version)
        do {
            let payload = try kind.answer(request.method, request.payload, from: found.value, context: about)
            return GrainCallReply(version: found.version, payload: payload)
        } catch is NotYet {
            throw OrchestraError(.notFound, "\(request.grain) has no answer to \(request.method) yet")
        } catch {
            throw OrchestraError.ofHandler(error, grain: request.grain).answered(to: request)
        }
    }

    private func withActivations<Result: Sendable>(
        _ body: @Sendable (inout VolatileActivations) throws(OrchestraError) -> Result
    ) throws(OrchestraError) -> Result {
        let result = state.withLock { state -> Swift.Result<Result, OrchestraError> in
            guard state.activations.isOpen else { return .failure(PartitionRuntime.moved(partition)) }
            do throws(OrchestraError) {
                return .success(try body(&state.activations))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// - Parameter term: the lease's when the call began: what was in memory in one term is worth nothing in another.
    private func waitForLease(
        _ request: GrainCallRequest, _ term: Int, _ deadline: ContinuousClock.Instant
    ) async throws(OrchestraError) {
        while !context.lease.isHeld(in: term) {
            guard context.lease.term == term, await context.lease.waitUntilHeld(deadline: deadline) else {
                throw OrchestraError(
                    .unavailable, "this silo has lost Kafka and cannot answer for \(request.grain)",
                    nextStep: "try again in a moment")
            }
        }
    }

    // MARK: Turns

    /// Runs a turn at once, if its handler does not suspend. What waits behind it has other callers, and a task.
    private func beginHere(_ start: VolatileActivations.Start, _ kind: any VolatileKind) {
        guard kind.runsImmediately(start.call.request.method) else { return begin(start, kind) }
        if let next = runImmediately(start, kind) { begin(next, kind) }
    }

    /// Runs a turn in a task, and those that wait behind it.
    private func begin(_ start: VolatileActivations.Start, _ kind: any VolatileKind) {
        state.withLock {
            $0.tasks[start.turn] = Task(executorPreference: context.executor) { await self.run(start, kind) }
        }
    }

    private func run(_ start: VolatileActivations.Start, _ kind: any VolatileKind) async {
        var turn = makeTurn(start)
        let result: Result<HandlerResult, any Error>
        do {
            let request = start.call.request
            result = .success(try await kind.run(request.method, request.payload, on: start.value, turn: &turn))
        } catch {
            result = .failure(error)
        }
        if let next = finish(start, result, turn) { begin(next, kind) }
    }

    private func runImmediately(
        _ start: VolatileActivations.Start, _ kind: any VolatileKind
    ) -> VolatileActivations.Start? {
        var turn = makeTurn(start)
        let request = start.call.request
        let result = Result {
            try kind.runImmediately(request.method, request.payload, on: start.value, turn: &turn)
        }
        return finish(start, result, turn)
    }

    private func makeTurn(_ start: VolatileActivations.Start) -> VolatileTurn {
        let request = start.call.request
        let calls = NestedCalls(
            next: context.calls, callers: request.callers + [request.grain], deadline: start.call.deadline,
            now: context.clocks.monotonic, traceParent: request.traceParent)
        return VolatileTurn(
            grain: request.grain, now: context.clocks.wall(), isNew: start.value == nil,
            traceParent: request.traceParent, cluster: ClusterClient(handler: calls))
    }

    /// - Returns: the next turn of the grain.
    private func finish(
        _ start: VolatileActivations.Start, _ result: Result<HandlerResult, any Error>, _ turn: VolatileTurn
    ) -> VolatileActivations.Start? {
        let end: VolatileActivations.End =
            switch result {
            case .success(let result): turn.completes ? .completed : .changed(result.grain)
            case .failure: .failed
            }
        let now = context.clocks.monotonic()
        let (counts, next) = state.withLock { state in
            state.tasks[start.turn] = nil
            return state.activations.finish(start, end, at: now)
        }
        guard counts else { return next }
        context.metrics.turns.increment()
        switch result {
        case .success(let result): start.call.succeed(GrainCallReply(version: 0, payload: result.reply ?? []))
        case .failure(let error):
            context.metrics.turnFailures.increment()
            start.call.fail(.ofHandler(error, grain: start.call.request.grain))
        }
        return next
    }

    // MARK: Ticks

    /// Drops the grains that nobody has called since an instant.
    ///
    /// - Returns: how many.
    func collect(idleSince instant: ContinuousClock.Instant) -> Int {
        state.withLock { $0.activations.collect(idleSince: instant) }
    }

    /// Looks after deadlines. Called every few milliseconds.
    func tick(at instant: ContinuousClock.Instant) {
        let (waiting, begun, next, tasks) = state.withLock { state in
            let (waiting, begun, next) = state.activations.takeExpired(at: instant)
            return (waiting, begun, next, begun.compactMap { state.tasks[$0.turn] })
        }
        for task in tasks { task.cancel() }
        for call in waiting { call.fail(PartitionRuntime.deadlineExceeded(call.request)) }
        for (call, _) in begun {
            context.metrics.abandonedTurns.increment()
            call.fail(
                OrchestraError(
                    .deadlineExceeded,
                    "\(call.request.method) of \(call.request.grain) was given up, and nothing of it is kept there",
                    nextStep: "give it more time; what it called may have happened"))
        }
        for start in next {
            if let kind = context.catalog.volatileKinds[start.call.request.grain.type] { begin(start, kind) }
        }
    }
}

extension OrchestraError {
    /// What a query's handler threw, as its caller gets it. A turn that reads must be able to tell it from an owner that
    /// cannot be asked: it must not wait for the day on which the handler says something else.
    func answered(to request: GrainCallRequest) -> OrchestraError {
        guard request.kind == .read, saysThatNobodyAnswered else { return self }
        return OrchestraError(.handlerFailed, message, nextStep: nextStep, cause: self)
    }
}
