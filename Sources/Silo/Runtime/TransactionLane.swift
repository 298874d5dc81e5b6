package import EventLog
package import Logging
import Metrics
import OrchestraCore
import Synchronization

/// Commits the batches of all partitions of a silo, as many as there are in one Kafka transaction.
///
/// A transaction costs librdkafka and the broker a few milliseconds of a core, whatever is in it. With a producer for
/// each partition that price was paid per partition; here it is paid once for all that was ready when the last
/// transaction ended, so that under load transactions grow instead of becoming more. (Kafka Streams went the same way,
/// from a producer per task to one per thread.)
///
/// Every *life* of the lane is one initialisation of its producer. A partition joins a life when it is taken over, and
/// its commits count for that life only: when the producer is fenced, or the outcome of a transaction is unknown, the
/// life is over for all partitions, and each has to be taken over again, changelog and all, before it can
/// commit in the next. How takeovers stay safe is told at
/// ``PartitionClaims``.
///
/// A transaction that is aborted for what it contains is run again batch by batch, so that only the partition with the
/// culprit hears of it.
package final class TransactionLane: Sendable {
    private enum Phase {
        /// No producer. → opening, ended
        case closed
        /// One caller is initialising a producer; the others wait. → open, closed, ended
        case opening([OneShot<Result<Int, EventLogError>>])
        /// → closed, ended
        case open(any TransactionSink)
        /// Final.
        case ended
    }

    private struct State {
        var phase = Phase.closed
        /// The number of the present life, or of the last.
        var life = 0
        var queue = CommitQueue()
        var spread: TaskSpread?
        var onEnd: @Sendable (EventLogError) -> Void = { _ in }
    }

    private enum Work {
        case commit([QueuedCommit], any TransactionSink)
        case wait
        case end
    }

    private let makeProducer: @Sendable () throws(EventLogError) -> any TransactionSink
    private let logger: Logger
    private let didCommit: @Sendable (TransactionBatch) -> Void
    private let state: Mutex<State>
    private let work = Signal()
    private let batchCount = Recorder(label: "orchestra_silo_batches_per_transaction")

    /// - Parameters:
    ///   - spread: chooses the partitions of tasks; `nil` leaves them where their keys put them.
    ///   - didCommit: is told of each transaction that has committed.
    ///   - makeProducer: makes a producer with the silo's transactional id.
    package init(
        logger: Logger, spread: TaskSpread? = nil, didCommit: @escaping @Sendable (TransactionBatch) -> Void = { _ in },
        makeProducer: @escaping @Sendable () throws(EventLogError) -> any TransactionSink
    ) {
        state = Mutex(State(spread: spread))
        self.logger = logger
        self.didCommit = didCommit
        self.makeProducer = makeProducer
    }

    /// What a partition commits through.
    package func makeSink() -> any TransactionSink { LaneSink(lane: self) }

    /// How many batches wait for the transaction under way to end.
    package var queuedCommits: Int { state.withLock { $0.queue.count } }

    /// Whether the silo can commit now. Then its predecessors, and its own earlier lives, cannot any more.
    package var isOpen: Bool { state.withLock { if case .open = $0.phase { true } else { false } } }

    /// Sets what is told when a life ends early: its partitions are not owned any more.
    package func onEndOfLife(_ body: @escaping @Sendable (EventLogError) -> Void) {
        state.withLock { $0.onEnd = body }
    }

    /// Commits whatever is queued, until ``end()``; also in a task that is cancelled: what has begun is finished.
    package func run() async {
        while true {
            switch next() {
            case .wait: await work.waitThroughCancellation()
            case .end: return
            case .commit(let commits, let producer): await commit(commits, producer)
            }
        }
    }

    /// Ends the lane: what is queued fails, ``run()`` returns, the producer is closed. Call it when all partitions have
    /// ended.
    package func end() async {
        let (producer, queued) = state.withLock { state -> ((any TransactionSink)?, [QueuedCommit]) in
            defer { state.phase = .ended }
            guard case .open(let producer) = state.phase else { return (nil, state.queue.takeAll()) }
            return (producer, state.queue.takeAll())
        }
        for commit in queued { commit.outcome.resolve(.failure(.closed("the silo ends"))) }
        work.notify()
        await producer?.close()
    }

    // MARK: Lives

    /// Joins the present life, or begins the next.
    ///
    /// - Returns: the number of the life.
    fileprivate func join(timeout: Duration) async throws(EventLogError) -> Int {
        enum Step {
            case joined(Int)
            case wait(OneShot<Result<Int, EventLogError>>)
            case open
            case refuse
        }
        let step: Step = state.withLock { state in
            switch state.phase {
            case .open: return .joined(state.life)
            case .ended: return .refuse
            case .opening(var waiters):
                let waiter = OneShot<Result<Int, EventLogError>>()
                waiters.append(waiter)
                state.phase = .opening(waiters)
                return .wait(waiter)
            case .closed:
                state.phase = .opening([])
                return .open
            }
        }
        switch step {
        case .joined(let life): return life
        case .refuse: throw .closed("the silo ends")
        case .wait(let waiter):
            return try await waiter.value(ifCancelled: .failure(.closed("cancelled"))).get()
        case .open: return try await open(timeout).get()
        }
    }

    private func open(_ timeout: Duration) async -> Result<Int, EventLogError> {
        var made: (any TransactionSink)?
        let outcome: Result<any TransactionSink, EventLogError>
        do throws(EventLogError) {
            let producer = try makeProducer()
            made = producer
            try await producer.initialize(timeout: timeout)
            outcome = .success(producer)
        } catch {
            outcome = .failure(error)
        }
        let (result, waiters, surplus) = state.withLock {
            state -> (Result<Int, EventLogError>, [OneShot<Result<Int, EventLogError>>], (any TransactionSink)?) in
            guard case .opening(let waiters) = state.phase else {
                return (.failure(.closed("the silo ends")), [], made)
            }
            switch outcome {
            case .failure(let error):
                state.phase = .closed
                return (.failure(error), waiters, made)
            case .success(let producer):
                state.life += 1
                state.phase = .open(producer)
                return (.success(state.life), waiters, nil)
            }
        }
        await surplus?.close()
        for waiter in waiters { waiter.resolve(result) }
        return result
    }

    /// Ends the present life: the producer cannot commit any more, or must not.
    private func endLife(_ producer: any TransactionSink, _ error: EventLogError) async {
        // Before the next life can begin: nobody must take it for the one that has ended.
        let tell = state.withLock { $0.onEnd }
        tell(TransactionLane.lifeIsOver)
        let queued = state.withLock { state in
            if case .open = state.phase { state.phase = .closed }
            return state.queue.takeAll()
        }
        logger.warning("the silo's transactional producer has ended", metadata: ["error": "\(error)"])
        for commit in queued { commit.outcome.resolve(.failure(TransactionLane.lifeIsOver)) }
        await producer.close()
    }

    private static let lifeIsOver = EventLogError(
        kind: .fenced, name: "_FENCED", message: "the silo's transactional producer has ended; nothing was committed")

    // MARK: Commits

    fileprivate func commit(_ batch: TransactionBatch, life: Int) async throws(EventLogError) {
        let outcome = OneShot<Result<Void, EventLogError>>()
        let refusal: EventLogError? = state.withLock { state in
            guard case .open = state.phase, state.life == life else { return TransactionLane.lifeIsOver }
            state.queue.add(QueuedCommit(batch: batch, outcome: outcome))
            return nil
        }
        if let refusal { throw refusal }
        work.notify()
        // Not given up when the task is cancelled: the transaction may be under way, and its outcome counts.
        try await outcome.value().get()
    }

    private func next() -> Work {
        state.withLock { state in
            switch state.phase {
            case .ended: return .end
            case .closed, .opening: return .wait
            case .open(let producer):
                return state.queue.isEmpty ? .wait : .commit(state.queue.takeNext(), producer)
            }
        }
    }

    private func commit(_ commits: [QueuedCommit], _ producer: any TransactionSink) async {
        guard let error = await attempt(commits, producer) else { return }
        guard CommitFailure(error) == .abortedByContent, commits.count > 1 else {
            for commit in commits { commit.outcome.resolve(.failure(error)) }
            if CommitFailure(error) == .ownershipInDoubt { await endLife(producer, error) }
            return
        }
        logger.info(
            "a transaction is run again batch by batch", metadata: ["error": "\(error)", "batches": "\(commits.count)"])
        for (index, commit) in commits.enumerated() {
            guard let error = await attempt([commit], producer) else { continue }
            commit.outcome.resolve(.failure(error))
            guard CommitFailure(error) == .ownershipInDoubt else { continue }
            for rest in commits[(index + 1)...] { rest.outcome.resolve(.failure(TransactionLane.lifeIsOver)) }
            return await endLife(producer, error)
        }
    }

    /// Commits one transaction and answers its batches if it succeeds.
    private func attempt(_ commits: [QueuedCommit], _ producer: any TransactionSink) async -> EventLogError? {
        var transaction = CommitQueue.merged(commits)
        state.withLock { $0.spread?.place(&transaction.records) }
        do throws(EventLogError) {
            try await producer.commit(transaction)
        } catch {
            return error
        }
        batchCount.record(commits.count)
        didCommit(transaction)
        for commit in commits { commit.outcome.resolve(.success(())) }
        return nil
    }
}

/// One partition's part in a lane.
private final class LaneSink: TransactionSink {
    private let lane: TransactionLane
    private let life = Mutex<Int?>(nil)

    init(lane: TransactionLane) { self.lane = lane }

    func initialize(timeout: Duration) async throws(EventLogError) {
        let joined = try await lane.join(timeout: timeout)
        life.withLock { $0 = joined }
    }

    func commit(_ batch: TransactionBatch) async throws(EventLogError) {
        guard let life = life.withLock({ $0 }) else {
            throw EventLogError(kind: .retriable, name: "_STATE", message: "the partition has not joined the producer")
        }
        try await lane.commit(batch, life: life)
    }

    /// The producer goes on for the other partitions.
    func close() async { life.withLock { $0 = nil } }
}
