import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// Runs one partition on one silo: follows its changelog as a standby, takes it over once the silo is nominated, serves
/// it, and gives it back.
///
/// ``run()`` is the partition's one task: it does what ``PartitionLifecycle`` directs and, while serving, loops over
/// batches. Callers and the silo's ticker only touch what is behind the lock. Partitions know nothing of each other:
/// each can be started, drained and closed by itself.
final class PartitionRuntime: Sendable {
    /// What the loop shares with callers and the ticker.
    struct Shared {
        var lifecycle: PartitionLifecycle
        var state: PartitionState
        /// The next offset of each input topic: everything below has been taken in and committed.
        var takenIn: [String: Int64] = [:]
        /// Why calls are refused for good.
        var failure: OrchestraError?
        var isServing = false
        /// Counts how often the partition has begun to be served.
        var tenure = 0
        var isDraining = false
        var mailbox: CallMailbox
        var waiters: QueryWaiters
        /// Commands whose batch is under way.
        var inFlight: [PendingCall] = []
        /// What the intake has delivered.
        var events: Deque<IntakeEvent> = []
        var eventBytes = 0
        var intakeError: EventLogError?
        /// Batches to be run before anything else: they have been aborted.
        var pending: Deque<PendingBatch> = []
        /// Until when nothing is run: the last transaction was aborted by trouble with the network.
        var pausedUntil: ContinuousClock.Instant?
        /// Until when no records are taken: the registry cannot be reached.
        var recordsBlockedUntil: ContinuousClock.Instant?
        /// Until when neither records nor timers are taken: the owner of a grain that one of their turns reads cannot be asked.
        var obstructedUntil: ContinuousClock.Instant?
        /// Since when positions have been ahead of the last commit, with nothing to commit.
        var positionsAheadSince: ContinuousClock.Instant?
        var isOverBudget = false
        /// When idle grains were collected last.
        var collectedAt: ContinuousClock.Instant?
        /// Whether the silo shall own the partition; until then it follows.
        var isNominated = false
        /// What the partition is followed with, until it is restored.
        var tail: ChangelogTail?
        /// Why the partition must not be served: the life of the producer in which it was claimed has ended.
        var endedLife: EventLogError?
        /// Commits, once joined.
        var producer: (any TransactionSink)?
        /// Until when rivals that were fenced may answer queries from a state that is out of date.
        var rivalsAnswerUntil: ContinuousClock.Instant?
    }

    /// A batch that is to be run (again).
    struct PendingBatch {
        var batch: Batch
        /// How often its transaction was aborted for what it contains.
        var contentAborts = 0
    }

    let partition: Int32
    let context: PartitionContext
    let log: any PartitionLog
    let logger: Logger
    let shared: Mutex<Shared>
    /// There is something for the loop to do.
    let work = Signal()
    /// There is room for what the intake delivers.
    let room = Signal()
    /// The partition shall be given back.
    let stop = Signal()
    /// The silo shall own the partition, or it is time to look at how it is followed.
    let nomination = Signal()
    let executor: TurnExecutor
    let inputEnds: CoalescedRead<[String: Int64]>
    let volatileGrains: VolatileGrains

    init(partition: Int32, context: PartitionContext, log: any PartitionLog) {
        self.partition = partition
        var context = context
        context.origin.partition = partition
        self.context = context
        self.log = log
        volatileGrains = VolatileGrains(partition: partition, context: context)
        var logger = context.logger
        logger[metadataKey: "partition"] = "\(partition)"
        self.logger = logger
        let limits = context.origin.limits
        shared = Mutex(
            Shared(
                lifecycle: PartitionLifecycle(partition: partition),
                state: PartitionState(knownTypes: Set(context.catalog.kinds.keys), limits: limits),
                mailbox: CallMailbox(
                    maximumCount: limits.maximumQueuedCalls, maximumBytes: limits.maximumQueuedCallBytes),
                waiters: QueryWaiters(limit: limits.maximumWaitingQueries)))
        executor = TurnExecutor(
            turnTime: limits.turnTime, concurrency: limits.maximumConcurrentTurns, clocks: context.clocks,
            executor: context.executor)
        let topics = context.catalog.inputTopics
        inputEnds = CoalescedRead {
            var ends: [String: Int64] = [:]
            for topic in topics { ends[topic] = try await log.watermarks(of: topic).high }
            return ends
        }
    }

    /// Where the partition stands.
    var lifecycleState: PartitionLifecycle.State { shared.withLock { $0.lifecycle.state } }

    /// The silo that has claimed the partition last, if it is another one; while the partition is followed.
    var rival: String? {
        guard let latest = shared.withLock({ $0.tail })?.claims.latest, latest.silo != context.origin.nodeID else {
            return nil
        }
        return latest.silo
    }

    func report(isNominated: Bool) -> PartitionReport {
        let silo = context.origin.nodeID
        return shared.withLock { shared in
            let claims = shared.tail?.claims ?? shared.state.claims
            return PartitionReport(
                partition: partition, silo: silo, state: "\(shared.lifecycle.state)", isNominated: isNominated,
                epoch: shared.lifecycle.state.isHolding ? claims.offset(ofClaimOf: silo) : nil,
                grains: shared.tail?.grainCount ?? shared.state.grains.count,
                stateBytes: shared.tail?.countedBytes ?? shared.state.stateBytes,
                sequence: shared.tail?.sequence ?? shared.state.sequence,
                unread: shared.tail.map(\.unread).flatMap { $0 > 0 ? $0 : nil })
        }
    }

    // MARK: Life

    /// Follows the partition, and serves it once the silo is nominated, until it is drained or has to be given up. Returns
    /// when everything of it is closed.
    func run() async {
        await withTaskCancellationHandler {
            var directive = tell(.start)
            while true {
                if case .close(let error) = directive {
                    await close(error)
                    return
                }
                let event = await perform(directive)
                directive = tell(event)
                // A drain that came in between has moved the state on: what was done is void.
                if case .nothing = directive { directive = .close(nil) }
            }
        } onCancel: {
            drain()
        }
    }

    /// The silo shall own the partition: it takes it over as soon as it has followed it to its present end.
    func nominate() {
        shared.withLock { $0.isNominated = true }
        nomination.notify()
    }

    /// The silo shall not own the partition any more. If it has not begun to take it over, it goes on following.
    func withdraw() {
        let (calls, waits) = shared.withLock { shared in
            shared.isNominated = false
            return (shared.mailbox.take(maximum: .max), shared.waiters.takeAll())
        }
        // Who waits here is to ask the owner.
        for call in calls { call.fail(PartitionRuntime.moved(partition)) }
        for wait in waits { wait.fail(PartitionRuntime.moved(partition)) }
    }

    /// Ends the service because the silo's producer has ended: the partition is not owned any more.
    func endLife(_ error: EventLogError) {
        shared.withLock { shared in
            switch shared.lifecycle.state {
            // A claim that is still under way is not committed; one that is committed counts for nothing any more.
            case .claiming, .restoring, .serving: shared.endedLife = error
            default: break
            }
            guard shared.isServing else { return }
            if shared.intakeError == nil { shared.intakeError = error }
            // At once, not when the batch in hand is done: nothing is answered from this state any more.
            shared.isServing = false
        }
        volatileGrains.close()
        work.notify()
    }

    /// Asks the partition to finish the batch in hand, commit it and close. ``run()`` returns when that is done.
    func drain() {
        let isFinal = shared.withLock { shared in
            if case .finish = shared.lifecycle.handle(.drainRequested) { shared.isDraining = true }
            return shared.lifecycle.state == .stopped
        }
        if !isFinal { logger.debug("draining") }
        stop.notify()
        work.notify()
    }

    private func tell(_ event: PartitionLifecycle.Event) -> PartitionLifecycle.Directive {
        defer { context.attention.askToReconcile() }
        return shared.withLock { $0.lifecycle.handle(event) }
    }

    private func perform(_ directive: PartitionLifecycle.Directive) async -> PartitionLifecycle.Event {
        switch directive {
        case .follow: return await untilStopped { await self.follow() }
        case .clear: return await untilStopped { await self.clear() }
        case .join: return await untilStopped { await self.join() }
        case .writeClaim: return await writeClaim()
        case .restore: return await untilStopped { await self.restore() }
        case .serve:
            guard let producer = shared.withLock({ $0.producer }) else { return .failed(.closed("no producer")) }
            let event = await serve(producer)
            endService(event)
            return event
        case .backOff(let pause):
            await letGo()
            logger.info("beginning again", metadata: ["in": "\(pause)"])
            return await untilStopped {
                // Cancelled when the partition is to stop.
                try? await self.context.clocks.sleep(pause)
                return .backedOff
            }
        case .finish, .close, .nothing:
            return .failed(.closed("nothing to do for \(directive)"))
        }
    }

    /// Runs a step that can be given up when the partition is to stop.
    private func untilStopped(
        _ step: @escaping @Sendable () async -> PartitionLifecycle.Event
    ) async -> PartitionLifecycle.Event {
        await withTaskGroup(of: PartitionLifecycle.Event?.self) { group in
            group.addTask { await step() }
            group.addTask {
                while !self.isStopping, !Task.isCancelled { await self.stop.wait() }
                return nil
            }
            var result: PartitionLifecycle.Event?
            for await outcome in group {
                if let outcome { result = outcome }
                group.cancelAll()
            }
            return result ?? .failed(.closed("stopped"))
        }
    }

    /// Leaves the producer and the changelog.
    private func letGo() async {
        let (producer, tail) = shared.withLock { shared in
            defer { (shared.producer, shared.tail, shared.rivalsAnswerUntil) = (nil, nil, nil) }
            return (shared.producer, shared.tail)
        }
        if let tail {
            context.budget.add(-tail.countedBytes)
            await tail.close()
        }
        await producer?.close()
    }

    // MARK: Ending

    var isStopping: Bool {
        shared.withLock { $0.lifecycle.state == .released || $0.isDraining }
    }

    /// Forgets what belongs to the service that has ended. Commands that wait go on waiting: the partition may soon be
    /// served again, and their deadlines run.
    private func endService(_ event: PartitionLifecycle.Event) {
        volatileGrains.close()
        let inFlight = shared.withLock { shared in
            shared.isServing = false
            shared.events = []
            shared.eventBytes = 0
            shared.intakeError = nil
            shared.pending = []
            shared.pausedUntil = nil
            shared.recordsBlockedUntil = nil
            shared.obstructedUntil = nil
            defer { shared.inFlight = [] }
            return shared.inFlight
        }
        for call in inFlight {
            call.fail(
                OrchestraError(
                    .outcomeUnknown,
                    "\(call.request.method) of \(call.request.grain) may or may not have been committed",
                    nextStep: "repeat it with the same request id"))
        }
        if case .failed(let error) = event {
            logger.error("the partition stops being served", metadata: ["error": "\(error)"])
        }
    }

    private func close(_ error: OrchestraError?) async {
        let reason =
            error.map { OrchestraError(.unavailable, "partition \(partition) has stopped: \($0.message)", cause: $0) }
            ?? PartitionRuntime.moved(partition)
        let (calls, waits) = shared.withLock { shared in
            shared.failure = reason
            shared.isServing = false
            context.budget.add(-shared.state.stateBytes)
            shared.state = shared.state.emptied()
            return (shared.mailbox.take(maximum: .max), shared.waiters.takeAll())
        }
        for call in calls { call.fail(reason) }
        for wait in waits { wait.fail(reason) }
        if error == nil, let producer = shared.withLock({ $0.producer }) { await deleteClaim(producer) }
        await letGo()
        if let error {
            logger.critical("the partition has stopped and needs attention", metadata: ["error": "\(error)"])
        } else {
            logger.debug("released")
        }
    }

    /// Nothing of the call has begun here.
    static func moved(_ partition: Int32) -> OrchestraError {
        OrchestraError(.notOwner, "partition \(partition) is being moved", nextStep: "ask its next owner in a moment")
    }
}

extension EventLogError {
    static func closed(_ message: String) -> EventLogError {
        EventLogError(kind: .closed, name: "_DESTROY", message: message)
    }
}
