import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// The loop of a partition that is served: take what there is, run the turns, commit, publish.
///
/// One batch is under way at a time, and whatever arrives meanwhile makes the next: under load batches grow by
/// themselves, and a partition without work has no transaction. Turns run before the transaction begins, so
/// the transaction is open only as long as Kafka needs.
extension PartitionRuntime {
    /// Positions that no commit has recorded are recorded after this time, so that an idle partition's offsets do not
    /// fall behind what its topics' retention deletes.
    static let positionDelay = Duration.seconds(5)

    func serve(_ producer: any TransactionSink) async -> PartitionLifecycle.Event {
        let intake: any IntakeSource
        do throws(EventLogError) {
            let topics = Set(context.catalog.inputTopics)
            let starts = shared.withLock { $0.takenIn.filter { topics.contains($0.key) } }
            intake = try await log.openInputs(at: starts)
        } catch {
            return .failed(error)
        }
        let begun = shared.withLock { shared -> Result<[QueryWait], EventLogError> in
            if let error = shared.endedLife { return .failure(error) }
            shared.isServing = true
            shared.tenure += 1
            // Under the lock, so that the end of the life cannot come in between.
            volatileGrains.open()
            return .success(shared.waiters.takeAll())
        }
        do throws(EventLogError) {
            for wait in try begun.get() { wait.wake() }
        } catch {
            await intake.close()
            return .failed(error)
        }
        context.attention.ask()
        logger.info("serving")
        let event = await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.pump(intake) }
            let event = await loop(producer)
            group.cancelAll()
            return event
        }
        await intake.close()
        return event
    }

    // MARK: Intake

    /// Moves records from the intake to the loop, as long as there is room.
    private func pump(_ intake: any IntakeSource) async {
        let limits = context.origin.limits
        var pageSize = limits.maximumBatchRecords
        while !Task.isCancelled {
            let hasRoom = shared.withLock {
                $0.events.count < limits.maximumBatchRecords && $0.eventBytes < limits.maximumBatchBytes
            }
            guard hasRoom else {
                await room.wait()
                continue
            }
            do {
                let events = try await intake.next(maximumRecords: pageSize)
                let bytes = events.reduce(0) { $0 + $1.size }
                // The next page shall not hold more bytes than a batch may, if records stay as large as these.
                let average = max(bytes / max(events.count, 1), 1)
                pageSize = min(max(limits.maximumBatchBytes / average, 1), limits.maximumBatchRecords)
                shared.withLock { shared in
                    shared.events.append(contentsOf: events)
                    shared.eventBytes += bytes
                }
            } catch let error {
                guard !Task.isCancelled else { return }
                shared.withLock { $0.intakeError = error }
                work.notify()
                return
            }
            work.notify()
        }
    }

    // MARK: Loop

    private func loop(_ producer: any TransactionSink) async -> PartitionLifecycle.Event {
        while true {
            switch next() {
            case .wait: await work.wait()
            case .end(let event): return event
            case .run(let pending):
                if let error = await run(pending, producer) { return .failed(error) }
            }
        }
    }

    private enum Next {
        case wait
        case run(PendingBatch)
        case end(PartitionLifecycle.Event)
    }

    private func next() -> Next {
        let limits = context.origin.limits
        let instant = context.clocks.monotonic()
        let wall = context.clocks.wall()
        let next: Next = shared.withLock { shared in
            if shared.isDraining { return .end(.drained) }
            if let error = shared.intakeError { return .end(.failed(error)) }
            if let pause = shared.pausedUntil, pause > instant { return .wait }
            shared.pausedUntil = nil
            if let pending = shared.pending.popFirst() { return .run(pending) }
            let batch = takeBatch(&shared, limits, at: instant, wall)
            return batch.map { .run(PendingBatch(batch: $0)) } ?? .wait
        }
        room.notify()
        return next
    }

    private func takeBatch(
        _ shared: inout Shared, _ limits: GrainLimits, at instant: ContinuousClock.Instant, _ wall: Timestamp
    ) -> Batch? {
        var batch = Batch()
        if let obstructed = shared.obstructedUntil, obstructed <= instant { shared.obstructedUntil = nil }
        let isObstructed = shared.obstructedUntil != nil
        if !isObstructed {
            batch.timers = shared.state.takeDueTimers(
                at: shared.state.time(at: wall), limit: limits.maximumBatchRecords)
        }
        if !shared.isOverBudget {
            batch.calls = shared.mailbox.take(maximum: limits.maximumBatchRecords)
            if let blocked = shared.recordsBlockedUntil, blocked <= instant { shared.recordsBlockedUntil = nil }
            if shared.recordsBlockedUntil == nil, !isObstructed { takeEvents(&shared, limits, &batch) }
        }
        shared.inFlight = batch.calls
        if batch.isWithoutInput, batch.events.isEmpty {
            guard let since = shared.positionsAheadSince, instant - since >= PartitionRuntime.positionDelay else {
                return nil
            }
            // Nothing but positions: commit them.
            batch.commitsPositions = true
        }
        return batch
    }

    private func takeEvents(_ shared: inout Shared, _ limits: GrainLimits, _ batch: inout Batch) {
        var bytes = 0
        while batch.events.count < limits.maximumBatchRecords, bytes < limits.maximumBatchBytes,
            let event = shared.events.popFirst()
        {
            bytes += event.size
            batch.events.append(event)
        }
        shared.eventBytes -= bytes
    }
}

extension IntakeEvent {
    /// About the memory that the event takes, in bytes.
    var size: Int {
        guard case .record(let record) = self else { return 0 }
        return 128 + (record.key?.count ?? 0) + (record.value?.count ?? 0)
    }
}
