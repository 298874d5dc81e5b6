import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// One batch of a partition: prepare its inputs, run its turns, commit, publish; and what follows when the
/// transaction does not commit.
extension PartitionRuntime {
    private static let pauseAfterAbort = Duration.milliseconds(200)
    /// The schema registry, or the owner of a grain that a turn reads, cannot be reached.
    private static let pauseWithoutSource = Duration.seconds(1)

    /// Runs a batch and commits it.
    ///
    /// - Returns: an error after which the partition cannot be served any more.
    func run(_ pending: PendingBatch, _ producer: any TransactionSink) async -> EventLogError? {
        var pending = pending
        let (prepared, isBlocked) = await prepare(&pending.batch)
        let batch = pending.batch
        if batch.isWithoutInput, !batch.commitsPositions {
            if !batch.events.isEmpty || !isBlocked { publishPositions(of: batch) }
            return nil
        }
        let term = context.lease.term
        let (jobs, sequence, now) = makeJobs(prepared)
        let start = context.clocks.monotonic()
        let finished = await executor.run(jobs) { context.attention.ask() }
        context.metrics.turnTime.recordNanoseconds((context.clocks.monotonic() - start).nanoseconds)
        if finished.contains(where: { $0.blocked != nil }) {
            wait(pending, for: finished)
            return nil
        }
        let output: BatchOutput
        do {
            let positions = batch.positions(from: shared.withLock { $0.takenIn })
            output = try BatchOutput(
                jobs: finished, direct: prepared.direct,
                consumed: batch.recordCount + (batch.commitsPositions ? 1 : 0), positions: positions,
                sequence: sequence, now: now, origin: context.origin)
        } catch {
            // Every record type is registered before a partition is served: only a defect of ours gets here.
            return .closed("the batch cannot be encoded: \(error)")
        }
        return await commit(output, pending, producer, term: term)
    }

    /// - Parameter term: of the lease, when the turns began.
    private func commit(
        _ output: BatchOutput, _ pending: PendingBatch, _ producer: any TransactionSink, term: Int
    ) async -> EventLogError? {
        if let transaction = output.transaction {
            let start = context.clocks.monotonic()
            do throws(EventLogError) {
                try await producer.commit(transaction)
            } catch {
                return handle(error, of: pending)
            }
            let duration = context.clocks.monotonic() - start
            context.metrics.commitTime.recordNanoseconds(duration.nanoseconds)
            context.metrics.batchSize.record(pending.batch.inputCount)
            logger.trace(
                "committed",
                metadata: [
                    "sequence": "\(output.progress.sequence)", "inputs": "\(pending.batch.inputCount)",
                    "records": "\(transaction.records.count)", "microseconds": "\(duration.nanoseconds / 1_000)",
                ])
        } else if !output.refusals.isEmpty || !output.replies.isEmpty {
            // They are answers from memory, as those of queries are.
            let patience = context.clocks.monotonic() + ServingLease.duration
            guard await context.lease.waitUntilHeld(deadline: patience) else {
                return EventLogError(kind: .timedOut, name: "_TIMED_OUT", message: "Kafka does not take heartbeats")
            }
            guard context.lease.isHeld(in: term) else {
                return EventLogError(kind: .fenced, name: "_FENCED", message: "the turns knew an earlier life's state")
            }
        }
        publish(output, pending.batch)
        return nil
    }

    /// Makes what has been committed visible: state, positions, answers.
    private func publish(_ output: BatchOutput, _ batch: Batch) {
        let hasCommitted = output.transaction != nil
        let (waits, versions) = shared.withLock { shared in
            let before = shared.state.stateBytes
            if hasCommitted {
                shared.state.apply(output.commits, progress: output.progress, fired: batch.timers)
                shared.positionsAheadSince = nil
            }
            context.budget.add(shared.state.stateBytes - before)
            shared.takenIn = output.progress.nextOffsets
            shared.inFlight = []
            let versions = output.replies.map { shared.state.version(of: $0.call.request.grain) }
            return (
                shared.waiters.takeReady(committed: output.commits.lazy.map(\.grain), takenIn: shared.takenIn), versions
            )
        }
        for ((call, reply), version) in zip(output.replies, versions) {
            call.succeed(GrainCallReply(version: version, payload: reply))
        }
        for (call, error) in output.refusals { call.fail(error) }
        for wait in waits { wait.wake() }
        // There may be new timers.
        context.attention.ask()
        report(output)
    }

    private func report(_ output: BatchOutput) {
        context.metrics.turns.increment(by: Int64(output.turnCount))
        context.metrics.stateBytes.record(context.budget.bytes)
        let failures = output.deadLetters.count + output.refusals.count + output.toldFailures
        if failures > 0 { context.metrics.turnFailures.increment(by: Int64(failures)) }
        guard !output.deadLetters.isEmpty else { return }
        context.metrics.deadLetters.increment(by: Int64(output.deadLetters.count))
        for (code, reason) in output.deadLetters {
            logger.warning("to the dead letters", metadata: ["code": "\(code)", "reason": "\(reason)"])
        }
    }

    /// Positions that moved past control markers only: worth no transaction now.
    private func publishPositions(of batch: Batch) {
        let instant = context.clocks.monotonic()
        let waits = shared.withLock { shared in
            shared.inFlight = []
            let positions = batch.positions(from: shared.takenIn)
            shared.takenIn = positions
            if positions != shared.state.progress?.nextOffsets, shared.positionsAheadSince == nil {
                shared.positionsAheadSince = instant
            }
            return shared.waiters.takeReady(committed: EmptyCollection<GrainID>(), takenIn: positions)
        }
        context.attention.ask()
        for wait in waits { wait.wake() }
    }

    // MARK: Preparing

    /// Decodes the batch's records. Where the registry would be needed and cannot be reached, that record and those
    /// behind it go back, and the batch does without them.
    private func prepare(_ batch: inout Batch) async -> (PreparedBatch, isBlocked: Bool) {
        var prepared = PreparedBatch()
        let preparation = RecordPreparation(
            catalog: context.catalog, partitioner: context.origin.partitioner, partition: partition,
            codec: context.origin.codec)
        var isBlocked = false
        for (index, event) in batch.events.enumerated() {
            guard case .record(let record) = event else { continue }
            var result = preparation.prepare(record)
            if case .needsSchema = result {
                do throws(OrchestraError) {
                    result = try await preparation.prepareFetching(record)
                } catch {
                    logger.warning("records wait for the schema registry", metadata: ["error": "\(error)"])
                    giveBack(&batch, from: index)
                    isBlocked = true
                    break
                }
            }
            take(result, record, &prepared, batch.condemned)
        }
        takeCallsAndTimers(of: batch, &prepared)
        return (prepared, isBlocked)
    }

    private func take(
        _ result: RecordPreparation.Result, _ record: ConsumedRecord, _ prepared: inout PreparedBatch,
        _ condemned: OrchestraError?
    ) {
        if let condemned {
            if case .turns(let inputs) = result, inputs.count == 1, inputs[0].replyAddress != nil {
                // Its teller hears of it.
                prepared.inputs.append(inputs[0].condemned(condemned))
                return
            }
            let kind = DirectOutcome.Kind.deadLetter(code: condemned.code.rawValue, reason: condemned.description)
            prepared.direct.append(DirectOutcome(record: record, kind: kind))
            return
        }
        switch result {
        case .turns(let inputs): prepared.inputs += inputs
        case .direct(let kind): prepared.direct.append(DirectOutcome(record: record, kind: kind))
        case .needsSchema:
            let kind = DirectOutcome.Kind.deadLetter(code: "undecodable", reason: "no stream has its schema")
            prepared.direct.append(DirectOutcome(record: record, kind: kind))
        }
    }

    private func giveBack(_ batch: inout Batch, from index: Int) {
        let rest = batch.events[index...]
        batch.events.removeSubrange(index...)
        let until = context.clocks.monotonic().advanced(by: PartitionRuntime.pauseWithoutSource)
        shared.withLock { shared in
            shared.events.prepend(contentsOf: rest)
            shared.eventBytes += rest.reduce(0) { $0 + $1.size }
            shared.recordsBlockedUntil = until
        }
        context.attention.ask()
    }

    private func takeCallsAndTimers(of batch: Batch, _ prepared: inout PreparedBatch) {
        for timer in batch.timers {
            prepared.inputs.append(
                TurnInput(
                    source: .timer(timer), grain: timer.grain, handler: .timer(timer.name ?? ""), payload: .timer,
                    condemned: batch.condemned))
        }
        for call in batch.calls where !call.isAnswered {
            prepared.inputs.append(
                TurnInput(
                    source: .call(call), grain: call.request.grain, handler: .command(call.request.method),
                    payload: .command(call.request.payload), traceParent: call.request.traceParent,
                    condemned: batch.condemned))
        }
    }

    private func makeJobs(_ prepared: PreparedBatch) -> (jobs: [GrainJob], sequence: Int64, now: Timestamp) {
        let wall = context.clocks.wall()
        let calls = TurnCalls(handler: context.calls, now: context.clocks.monotonic)
        return shared.withLock { shared in
            let now = shared.state.time(at: wall)
            let sequence = shared.state.sequence + 1
            let jobs = prepared.grouped().compactMap { group -> GrainJob? in
                guard let kind = context.catalog.kinds[group.grain.type] else { return nil }
                return GrainJob(
                    grain: group.grain, kind: kind, committed: shared.state.grains[group.grain],
                    sealed: shared.state.sealedRequests[group.grain] ?? [], live: shared.state.liveGrain(group.grain),
                    inputs: group.inputs, now: now, sequence: sequence, retries: context.retries, calls: calls)
            }
            return (jobs, sequence, now)
        }
    }

    // MARK: Obstacles

    /// What a turn needs cannot be read now.
    private func wait(_ pending: PendingBatch, for jobs: [GrainJob]) {
        let blocked = jobs.filter { $0.blocked != nil }
        if let first = blocked.first, let error = first.blocked {
            logger.warning(
                "what a turn needs cannot be read yet, waiting",
                metadata: ["grain": "\(first.grain)", "error": "\(error)"])
        }
        if !blocked.allSatisfy(\.isObstructed) || !putAside(pending) {
            retry(pending, after: PartitionRuntime.pauseWithoutSource)
        }
    }

    /// Gives a batch's records and timers back for a while, so that only they wait, and runs its commands without them.
    ///
    /// - Returns: `false` if there are records behind it that would overtake it.
    private func putAside(_ pending: PendingBatch) -> Bool {
        let batch = pending.batch
        let until = context.clocks.monotonic().advanced(by: PartitionRuntime.pauseWithoutSource)
        defer { context.attention.ask() }
        return shared.withLock { shared in
            guard shared.pending.isEmpty, pending.contentAborts == 0, !batch.commitsPositions else { return false }
            shared.events.prepend(contentsOf: batch.events)
            shared.eventBytes += batch.events.reduce(0) { $0 + $1.size }
            shared.state.reinstate(batch.timers)
            shared.obstructedUntil = until
            var calls = Batch()
            calls.calls = batch.calls
            if !calls.calls.isEmpty { shared.pending.append(PendingBatch(batch: calls)) }
            return true
        }
    }

    // MARK: Aborts

    /// Decides what follows from a transaction that failed.
    private func handle(_ error: EventLogError, of pending: PendingBatch) -> EventLogError? {
        context.metrics.aborts.increment()
        switch CommitFailure(error) {
        case .ownershipInDoubt: return error
        case .abortedByTransport:
            logger.warning("a transaction was aborted, running it again", metadata: ["error": "\(error)"])
            retry(pending, after: PartitionRuntime.pauseAfterAbort)
        case .abortedByContent:
            return retryIsolated(pending, error)
        }
        return nil
    }

    /// The first time, the batch is run again; the second time, its inputs one by one; the one that fails again by
    /// itself is condemned.
    private func retryIsolated(_ pending: PendingBatch, _ error: EventLogError) -> EventLogError? {
        var pending = pending
        pending.contentAborts += 1
        logger.warning(
            "a transaction was aborted for what it contains",
            metadata: [
                "error": "\(error)", "times": "\(pending.contentAborts)", "inputs": "\(pending.batch.inputCount)",
            ])
        if pending.contentAborts < 2 {
            retry(pending, after: .zero)
        } else if pending.batch.inputCount > 1 {
            var rest = pending.batch
            var singles: [PendingBatch] = []
            while !rest.isWithoutInput { singles.append(PendingBatch(batch: rest.takeFirstInput(), contentAborts: 1)) }
            if !rest.events.isEmpty { singles.append(PendingBatch(batch: rest)) }
            shared.withLock { $0.pending.prepend(contentsOf: singles) }
        } else if pending.batch.condemned == nil {
            pending.batch.condemned = OrchestraError(
                .tooLarge, "its transaction was refused: \(error.message) [\(error.name)]", cause: error)
            retry(pending, after: .zero)
        } else {
            return error
        }
        return nil
    }

    private func retry(_ pending: PendingBatch, after pause: Duration) {
        let until = context.clocks.monotonic().advanced(by: pause)
        shared.withLock { shared in
            shared.pending.prepend(pending)
            if pause > .zero { shared.pausedUntil = until }
        }
        context.attention.ask()
    }
}

extension Duration {
    /// Whole nanoseconds; for durations that we measure.
    var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
}
