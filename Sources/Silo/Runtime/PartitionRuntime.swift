import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// Runs one partition: takes it over, restores it, serves it, and gives it back.
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
        /// Since when positions have been ahead of the last commit, with nothing to commit.
        var positionsAheadSince: ContinuousClock.Instant?
        var isOverBudget = false
        /// The end of the changelog before this life began: later claims are by rivals.
        var changelogMark: Int64 = 0
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
    let executor: TurnExecutor
    let inputEnds: CoalescedRead<[String: Int64]>

    init(partition: Int32, context: PartitionContext, log: any PartitionLog) {
        self.partition = partition
        var context = context
        context.origin.partition = partition
        self.context = context
        self.log = log
        var logger = context.logger
        logger[metadataKey: "partition"] = "\(partition)"
        self.logger = logger
        let limits = context.origin.limits
        shared = Mutex(
            Shared(
                lifecycle: PartitionLifecycle(
                    partition: partition, silo: context.origin.nodeID, generation: context.generation),
                state: PartitionState(knownTypes: Set(context.catalog.kinds.keys), limits: limits),
                mailbox: CallMailbox(
                    maximumCount: limits.maximumQueuedCalls, maximumBytes: limits.maximumQueuedCallBytes),
                waiters: QueryWaiters(limit: limits.maximumWaitingQueries)))
        executor = TurnExecutor(
            turnTime: limits.turnTime, concurrency: limits.maximumConcurrentTurns, now: context.clocks.monotonic)
        let topics = context.catalog.inputTopics
        inputEnds = CoalescedRead {
            var ends: [String: Int64] = [:]
            for topic in topics { ends[topic] = try await log.watermarks(of: topic).high }
            return ends
        }
    }

    /// Where the partition stands.
    var lifecycleState: PartitionLifecycle.State { shared.withLock { $0.lifecycle.state } }

    // MARK: Life

    /// Serves the partition until it is drained or has to be given up. Returns when everything of it is closed.
    func run() async {
        await withTaskCancellationHandler {
            var producer: (any TransactionSink)?
            var directive = tell(.start)
            while true {
                if case .close(let error) = directive {
                    await close(producer, error)
                    return
                }
                let event = await perform(directive, &producer)
                directive = tell(event)
                // A drain that came in between has moved the state on: what was done is void.
                if case .nothing = directive { directive = .close(nil) }
            }
        } onCancel: {
            drain()
        }
    }

    /// Ends the service because the silo's producer has ended: the partition is not owned any more.
    func endLife(_ error: EventLogError) {
        shared.withLock { shared in
            if shared.isServing, shared.intakeError == nil { shared.intakeError = error }
        }
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
        shared.withLock { $0.lifecycle.handle(event) }
    }

    private func perform(
        _ directive: PartitionLifecycle.Directive, _ producer: inout (any TransactionSink)?
    ) async -> PartitionLifecycle.Event {
        switch directive {
        case .join:
            let current = producer
            let (event, made) = await untilStopped { await self.join(current) }
            producer = made
            return event
        case .writeClaim:
            guard let producer else { return .failed(.closed("no producer")) }
            return await writeClaim(producer)
        case .restore:
            guard let producer else { return .failed(.closed("no producer")) }
            return await untilStopped { (await self.restore(producer), nil) }.event
        case .serve:
            guard let producer else { return .failed(.closed("no producer")) }
            let event = await serve(producer)
            endService(event)
            return event
        case .verifyClaim:
            await producer?.close()
            producer = nil
            return await untilStopped {
                // See SiloConfiguration.claimGrace. Cancelled when the partition is to stop.
                try? await Task.sleep(for: self.context.claimGrace)
                return (await self.readClaim(), nil)
            }.event
        case .backOff(let pause):
            await producer?.close()
            producer = nil
            logger.info("beginning again", metadata: ["in": "\(pause)"])
            return await untilStopped {
                // Cancelled when the partition is to stop.
                try? await Task.sleep(for: pause)
                return (.backedOff, nil)
            }.event
        case .finish, .close, .nothing:
            return .failed(.closed("nothing to do for \(directive)"))
        }
    }

    /// Runs a step that can be given up when the partition is to stop.
    private func untilStopped(
        _ step: @escaping @Sendable () async -> (event: PartitionLifecycle.Event, producer: (any TransactionSink)?)
    ) async -> (event: PartitionLifecycle.Event, producer: (any TransactionSink)?) {
        await withTaskGroup(of: (event: PartitionLifecycle.Event, producer: (any TransactionSink)?)?.self) { group in
            group.addTask { await step() }
            group.addTask {
                while !self.isStopping, !Task.isCancelled { await self.stop.wait() }
                return nil
            }
            var result: (event: PartitionLifecycle.Event, producer: (any TransactionSink)?)?
            for await outcome in group {
                if let outcome { result = outcome }
                group.cancelAll()
            }
            return result ?? (.failed(.closed("stopped")), nil)
        }
    }

    // MARK: Ending

    var isStopping: Bool {
        shared.withLock { $0.lifecycle.state == .released || $0.isDraining }
    }

    /// Forgets what belongs to the service that has ended. Commands that wait go on waiting: the partition may soon be
    /// served again, and their deadlines run.
    private func endService(_ event: PartitionLifecycle.Event) {
        let inFlight = shared.withLock { shared in
            shared.isServing = false
            shared.events = []
            shared.eventBytes = 0
            shared.intakeError = nil
            shared.pending = []
            shared.pausedUntil = nil
            shared.recordsBlockedUntil = nil
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

    private func close(_ producer: (any TransactionSink)?, _ error: OrchestraError?) async {
        let reason =
            error.map { OrchestraError(.unavailable, "partition \(partition) has stopped: \($0.message)", cause: $0) }
            ?? OrchestraError(
                .unavailable, "partition \(partition) is being moved", nextStep: "ask its next owner in a moment")
        let (calls, waits) = shared.withLock { shared in
            shared.failure = reason
            shared.isServing = false
            context.budget.add(-shared.state.stateBytes)
            shared.state = PartitionState(knownTypes: [], limits: context.origin.limits)
            return (shared.mailbox.take(maximum: .max), shared.waiters.takeAll())
        }
        for call in calls { call.fail(reason) }
        for wait in waits { wait.fail(reason) }
        if let producer {
            if error == nil { await deleteClaim(producer) }
            await producer.close()
        }
        if let error {
            logger.critical("the partition has stopped and needs attention", metadata: ["error": "\(error)"])
        } else {
            logger.info("released")
        }
    }
}

extension EventLogError {
    static func closed(_ message: String) -> EventLogError {
        EventLogError(kind: .closed, name: "_DESTROY", message: message)
    }
}
