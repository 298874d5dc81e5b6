import Avro
package import OrchestraCore
import Records

/// The turns of one grain in one batch, in order: a value that can be run in steps, kept, and continued elsewhere.
///
/// Turns run on a working copy, one after the other, before the batch's transaction begins. A turn that throws leaves
/// the copy as it was. What cannot go on at once (a handler that suspends, a pause before a repetition, a state
/// whose writer's schema must be fetched) makes ``runImmediately()`` return `false`; ``run(sleeping:)`` goes on.
package struct GrainJob: Sendable {
    /// What stays as it is from turn to turn; apart, so that a copy of the job is cheap.
    private final class Given: Sendable {
        let grain: GrainID
        let kind: any GrainKind
        let committed: GrainStateRecord?
        let now: Timestamp
        let sequence: Int64
        let retries: RetryPolicy
        let calls: TurnCalls?

        init(
            grain: GrainID, kind: any GrainKind, committed: GrainStateRecord?, now: Timestamp, sequence: Int64,
            retries: RetryPolicy, calls: TurnCalls?
        ) {
            self.grain = grain
            self.kind = kind
            self.committed = committed
            self.now = now
            self.sequence = sequence
            self.retries = retries
            self.calls = calls
        }
    }

    package let inputs: [TurnInput]
    /// One for each input, as far as the job has come.
    package private(set) var verdicts: [TurnVerdict] = []
    /// Set when the grain's state, or another grain that a turn reads, cannot be read now but may be later: the batch must
    /// be run again.
    package private(set) var blocked: OrchestraError?
    /// Whether that is because of another grain: then only this job's events, told commands and timers have to wait.
    package private(set) var isObstructed = false

    private let given: Given
    private var value: Value
    private var timers: [GrainTimer]
    private var requests: RecordedRequests
    private var graveUntil: Timestamp?
    private var isBuried = false
    private var attempts = 0
    /// How long to wait before the next attempt.
    private var pause: Duration?
    /// When the present turn is abandoned; `nil` in a turn that cannot suspend.
    private var deadline: ContinuousClock.Instant?

    package var grain: GrainID { given.grain }
    package var kind: any GrainKind { given.kind }
    private var committed: GrainStateRecord? { given.committed }
    private var now: Timestamp { given.now }

    private enum Value: Sendable {
        /// No state.
        case absent
        /// As committed, not decoded yet.
        case encoded(EncodedState)
        /// Decoded, as committed: the envelope holds its bytes.
        case committed(any Grain)
        /// Changed by a turn of this batch.
        case changed(any Grain, EncodedState)
        case unreadable(OrchestraError)
    }

    /// - Parameters:
    ///   - committed: the grain as it stands; `nil` if it has no state.
    ///   - sealed: its requests that are not in its record.
    ///   - live: its decoded state, if it is at hand.
    ///   - sequence: the sequence of the commit that the batch will be.
    ///   - calls: how turns reach other grains.
    package init(
        grain: GrainID, kind: any GrainKind, committed: CommittedGrain?, sealed: [RequestChunk],
        live: (any Grain)?, inputs: [TurnInput], now: Timestamp, sequence: Int64, retries: RetryPolicy,
        calls: TurnCalls? = nil
    ) {
        self.inputs = inputs
        var readable: GrainStateRecord?
        switch committed {
        case .unreadable(let reason):
            value = .unreadable(GrainJob.quarantined(grain, reason))
            (timers, requests) = ([], RecordedRequests())
        case .readable(let record):
            readable = record
            (timers, graveUntil) = (record.timers, record.graveUntil)
            requests = RecordedRequests(record.requests, sealed: sealed)
            if let damage = sealed.lazy.compactMap(\.damage).first {
                value = .unreadable(GrainJob.quarantined(grain, damage))
            } else if let live {
                value = .committed(live)
            } else {
                do {
                    value = try EncodedState(record).map { .encoded($0) } ?? .absent
                } catch {
                    value = .unreadable(GrainJob.quarantined(grain, "\(error)"))
                }
            }
        case nil:
            value = .absent
            (timers, requests) = ([], RecordedRequests())
        }
        given = Given(
            grain: grain, kind: kind, committed: readable, now: now, sequence: sequence, retries: retries,
            calls: calls)
    }

    /// Whether it differs from how it was made by more than its state's being decoded.
    package var hasMoved: Bool { !verdicts.isEmpty || attempts > 0 }
    package var isFinished: Bool { verdicts.count == inputs.count || blocked != nil }

    // MARK: Running

    /// Runs turns as far as possible without suspending.
    ///
    /// - Parameter beforeTurn: called with the job as it stands before each turn, so that it can be continued from
    ///   there if the turn never ends.
    /// - Returns: whether the job is finished.
    package mutating func runImmediately(beforeTurn: (GrainJob) -> Void = { _ in }) -> Bool {
        while !isFinished {
            let input = inputs[verdicts.count]
            guard attempts == 0, loadImmediately() else { return false }
            let runsImmediately = kind.runsImmediately(input.handler)
            if let verdict = settleWithoutTurn(input, hasHandler: runsImmediately != nil) {
                verdicts.append(verdict)
                continue
            }
            guard runsImmediately == true else { return false }
            beforeTurn(self)
            var turn = makeTurn(input)
            do {
                let result = try kind.runImmediately(input.handler, input.payload, on: currentGrain, turn: &turn)
                try accept(result, of: turn, input)
            } catch {
                reject(error, input)
                if pause != nil { return false }
            }
        }
        return true
    }

    /// Runs the remaining turns, with pauses between the attempts of one that fails.
    ///
    /// - Parameter beforeTurn: as above; returns when the turn will be abandoned.
    package mutating func run(
        beforeTurn: (GrainJob) -> ContinuousClock.Instant? = { _ in nil }, sleeping sleep: (Duration) async -> Void
    ) async {
        var isContinued = attempts > 0
        while !isFinished {
            if let pause {
                await sleep(pause)
                self.pause = nil
            }
            let input = inputs[verdicts.count]
            await load()
            if blocked != nil { return }
            if let verdict = settleWithoutTurn(input, hasHandler: kind.runsImmediately(input.handler) != nil) {
                verdicts.append(verdict)
                continue
            }
            if attempts == 0 || isContinued {
                deadline = beforeTurn(self)
            }
            isContinued = false
            var turn = makeTurn(input)
            do {
                let result = try await kind.run(input.handler, input.payload, on: currentGrain, turn: &turn)
                try accept(result, of: turn, input)
            } catch {
                if let obstacle = turn.obstacle, !input.hasCaller {
                    (blocked, isObstructed) = (obstacle, true)
                    return
                }
                reject(error, input)
            }
        }
    }

    /// Gives the present turn up, as it stands in a copy kept by `beforeTurn`: it has taken too long.
    package mutating func abandonTurn() {
        let limit = kind.environment.limits.turnTime
        let input = inputs[verdicts.count]
        giveUp(
            OrchestraError(
                .handlerFailed, "\(grain): \(input.handler) took more than \(limit) and was abandoned",
                nextStep: "leave slow work to agents"), input, attempts: attempts + 1)
    }

    // MARK: Outcome

    /// What the job's turns change in the changelog; `nil` when that is nothing.
    package func commit() -> GrainCommit? {
        if isBuried, case .absent = value, timers.isEmpty {
            return GrainCommit(grain: grain, requests: requests.changes)
        }
        var record =
            committed ?? GrainStateRecord(version: 0, committedAt: now, codec: kind.stateCodec)
        var live: (any Grain)?
        switch value {
        case .unreadable, .encoded: return nil
        case .committed(let grain): live = grain
        case .changed(let grain, let state):
            live = grain
            record.put(state, compressingFrom: kind.environment.limits.compressionThreshold)
        case .absent:
            record = GrainStateRecord(version: 0, committedAt: now, codec: kind.stateCodec)
        }
        var requests = requests
        requests.seal(sequence: given.sequence, limits: kind.environment.limits)
        record.timers = timers
        record.requests = requests.open
        record.graveUntil = graveUntil
        if let committed {
            guard requests.changes.sealed != nil || !record.hasSameContent(as: committed) else { return nil }
        } else if record.state == nil, graveUntil == nil {
            return nil
        }
        record.version = given.sequence
        record.committedAt = now
        return GrainCommit(grain: grain, record: record, requests: requests.changes, live: live)
    }

    // MARK: Steps

    private var standing: Turn.Standing {
        if case .absent = value { return graveUntil == nil ? .new : .remembered }
        return .living
    }

    private var currentGrain: any Grain {
        switch value {
        case .committed(let grain), .changed(let grain, _): grain
        case .absent, .encoded, .unreadable: kind.initial()
        }
    }

    private func makeTurn(_ input: TurnInput) -> Turn {
        var calls = given.calls
        calls?.deadline = deadline
        return Turn(
            grain: grain, now: now, standing: standing, traceParent: input.traceParent, environment: kind.environment,
            calls: calls, sequence: given.sequence, inputIndex: verdicts.count)
    }

    /// Decodes the state if that can be done at once.
    private mutating func loadImmediately() -> Bool {
        guard case .encoded(let state) = value else { return true }
        do {
            guard let grain = try kind.decode(state) else { return false }
            value = .committed(grain)
        } catch {
            value = .unreadable(GrainJob.quarantined(grain, "\(error)"))
        }
        return true
    }

    private mutating func load() async {
        guard !loadImmediately(), case .encoded(let state) = value else { return }
        do {
            value = .committed(try await kind.decodeSuspending(state))
        } catch let error as AvroError where error.isRetriable {
            blocked = error.orchestraError
        } catch {
            value = .unreadable(GrainJob.quarantined(grain, "\(error)"))
        }
    }

    /// What can be said about an input without running a handler.
    private mutating func settleWithoutTurn(_ input: TurnInput, hasHandler: Bool) -> TurnVerdict? {
        if case .timer(let entry) = input.source {
            if entry.name == nil { return bury(entry) }
            guard timers.contains(where: { $0.name == entry.name && $0.dueAt == entry.dueAt }) else { return .skipped }
        }
        if let error = input.condemned {
            forgetTimer(of: input)
            return verdict(error, input, attempts: 0)
        }
        if case .unreadable(let error) = value {
            // The timers of a grain that cannot be read wait, like its state, for a version that can.
            if case .timer = input.source { return .skipped }
            return verdict(error, input, attempts: 0)
        }
        if !hasHandler {
            forgetTimer(of: input)
            return verdict(
                OrchestraError(.unimplemented, "grain type \(grain.type) has no handler \(input.handler)"), input,
                attempts: 0)
        }
        if case .reply(let answer) = input.payload, case .absent = value {
            return verdict(
                OrchestraError(
                    .notFound, "\(answer.from) answers \(grain), which has completed meanwhile"), input, attempts: 0)
        }
        guard case .call(let call) = input.source else { return nil }
        let limits = kind.environment.limits
        if let reply = requests.reply(to: call.request.requestID, at: now, limits: limits) {
            return .repeated(reply: reply)
        }
        do {
            try requests.makeRoom(at: now, limits: limits)
            return nil
        } catch {
            return .refused(error)
        }
    }

    private mutating func bury(_ entry: TimerEntry) -> TurnVerdict {
        if case .absent = value, graveUntil == entry.dueAt {
            isBuried = true
            graveUntil = nil
            requests.forgetAll()
        }
        return .skipped
    }

    private mutating func forgetTimer(of input: TurnInput) {
        guard case .timer(let entry) = input.source else { return }
        timers.removeAll { $0.name == entry.name }
    }

    /// Takes over what a turn did.
    private mutating func accept(_ result: HandlerResult, of turn: Turn, _ input: TurnInput) throws {
        let limits = kind.environment.limits
        let state = try kind.encode(result.grain)
        guard state.bytes.count <= limits.maximumStateSize else {
            throw OrchestraError(
                .tooLarge, "\(grain) would have a state of \(state.bytes.count) bytes, over \(limits.maximumStateSize)",
                nextStep: "keep less in one grain, or raise the limit")
        }
        let kept = try timersAfter(turn.effects, input, limit: limits.maximumTimers)
        let outgoing = try turn.effects.outgoing + reply(result.reply, to: input.replyAddress, of: turn)
        if turn.effects.completes {
            (value, timers, isBuried) = (.absent, [], false)
            graveUntil = now.advanced(by: limits.requestWindow)
        } else if try turn.effects.awaitsReply || !isUntouched(state, timers: kept, input) {
            (value, timers, graveUntil, isBuried) = (.changed(result.grain, state), kept, nil, false)
        }
        if case .call(let call) = input.source {
            requests.record(call.request.requestID, reply: result.reply ?? [], at: now)
        }
        verdicts.append(.done(outgoing: outgoing, reply: result.reply))
        attempts = 0
    }

    /// The record that tells the teller what its command answered.
    private func reply(_ payload: [UInt8]?, to address: ReplyAddress?, of turn: Turn) throws -> [OutgoingRecord] {
        guard !(turn.effects.completes && turn.effects.awaitsReply) else {
            throw OrchestraError(
                .invalidArgument, "a turn of \(grain) completes it and wants the reply of a told command",
                nextStep: "complete it in the turn that takes the reply, or tell without replyTo")
        }
        guard let address else { return [] }
        let message = address.reply(payload ?? [], from: grain, at: now, traceParent: turn.traceParent)
        let record = OutgoingRecord(
            topic: Topics.commands, key: message.grainKey, value: try kind.environment.codec.encode(message))
        try record.check(kind.environment.limits)
        return [record]
    }

    /// Whether a turn of a grain without state left it without any: then nothing is written for it.
    private func isUntouched(_ state: EncodedState, timers: [GrainTimer], _ input: TurnInput) throws -> Bool {
        guard case .absent = value, timers.isEmpty else { return false }
        if case .call = input.source { return false }
        return try kind.encode(kind.initial()) == state
    }

    private func timersAfter(_ effects: TurnEffects, _ input: TurnInput, limit: Int) throws -> [GrainTimer] {
        var result = timers
        if case .timer(let entry) = input.source { result.removeAll { $0.name == entry.name } }
        for (name, change) in effects.timers.sorted(by: { $0.key < $1.key }) {
            result.removeAll { $0.name == name }
            if case .set(let instant) = change { result.append(GrainTimer(name: name, dueAt: instant)) }
        }
        guard result.count <= limit else {
            throw OrchestraError(.tooLarge, "\(grain) would have \(result.count) timers, over \(limit)")
        }
        return result
    }

    /// Decides what follows from a turn's error: another attempt after a pause, or the end. A command is never tried
    /// again: its caller decides.
    private mutating func reject(_ error: any Error, _ input: TurnInput) {
        attempts += 1
        pause = input.hasCaller ? nil : given.retries.pause(after: error, attempts: attempts)
        if pause == nil { giveUp(.ofHandler(error, grain: grain), input, attempts: attempts) }
    }

    private mutating func giveUp(_ error: OrchestraError, _ input: TurnInput, attempts: Int) {
        forgetTimer(of: input)
        verdicts.append(verdict(error, input, attempts: attempts))
        self.attempts = 0
    }

    private func verdict(_ error: OrchestraError, _ input: TurnInput, attempts: Int) -> TurnVerdict {
        if case .call = input.source { return .refused(error) }
        return .failed(error, attempts: attempts)
    }

    private static func quarantined(_ grain: GrainID, _ reason: String) -> OrchestraError {
        OrchestraError(
            .quarantined, "the state of \(grain) cannot be read and is kept untouched: \(reason)",
            nextStep: "run a version that can read it, or repair the record in \(Topics.state)")
    }
}
