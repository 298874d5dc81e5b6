import DequeModule
import OrchestraCore
import Synchronization

/// Runs the jobs of a batch: handlers that do not suspend one after the other in one task, the others at the same
/// time, a bounded number of them, in tasks of their own.
///
/// A turn that takes too long is abandoned: its job goes on from before it, elsewhere, and whatever its task comes to
/// later is ignored. Such a task cannot be awaited (it may never end), so these tasks are not structured: the executor
/// owns them, cancels those it abandons, and forgets them when they end.
final class TurnExecutor: Sendable {
    /// Who works on a job.
    private struct Slot {
        /// When the present turn began.
        var turnStart: ContinuousClock.Instant?
        /// Tells the task that works on the job from those that were abandoned.
        var worker = 0
        var isDone = false
        var runsInLane = true
    }

    private struct State {
        var jobs: [GrainJob] = []
        /// One for each job.
        var slots: [Slot] = []
        /// Jobs that have not begun.
        var lane: Deque<Int> = []
        /// Jobs that need a task of their own.
        var own: Deque<Int> = []
        var ownRunning = 0
        var laneWorker = 0
        var remaining = 0
        var lastWorker = 0
        var waiter: CheckedContinuation<[GrainJob], Never>?
        var tasks: [Int: Task<Void, Never>] = [:]
        var abandoned = 0
    }

    private let state = Mutex(State())
    private let turnTime: Duration
    private let concurrency: Int
    private let clocks: Clocks
    private let executor: (any TaskExecutor)?

    /// - Parameter executor: where turns run; `nil`: where Swift runs them.
    init(turnTime: Duration, concurrency: Int, clocks: Clocks, executor: (any TaskExecutor)? = nil) {
        self.turnTime = turnTime
        self.concurrency = concurrency
        self.clocks = clocks
        self.executor = executor
    }

    /// Whether a batch is under way.
    var isRunning: Bool { state.withLock { $0.waiter != nil } }

    /// Tasks of abandoned turns that have not ended.
    var abandonedCount: Int { state.withLock { $0.abandoned } }

    /// Runs the jobs to their ends; one call at a time.
    ///
    /// - Parameter begun: called when there are turns to look after: ``abandonOverdueTurns(at:)``.
    func run(_ jobs: consuming [GrainJob], begun: () -> Void = {}) async -> [GrainJob] {
        guard !jobs.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            state.withLock { state in
                precondition(state.waiter == nil, "two batches of one partition run at a time")
                state.jobs = jobs
                state.slots = Array(repeating: Slot(), count: jobs.count)
                state.lane = Deque(jobs.indices)
                state.own = []
                state.ownRunning = 0
                state.remaining = jobs.count
                state.waiter = continuation
                startLane(&state)
            }
            begun()
        }
    }

    /// Abandons the turns that have taken too long. Called regularly.
    ///
    /// - Returns: the grains whose turns were abandoned.
    func abandonOverdueTurns(at instant: ContinuousClock.Instant) -> [GrainID] {
        var abandoned: [GrainID] = []
        let finished = state.withLock { state -> Finished? in
            guard state.waiter != nil else { return nil }
            for index in state.slots.indices {
                guard !state.slots[index].isDone, let start = state.slots[index].turnStart,
                    start.advanced(by: turnTime) <= instant
                else { continue }
                abandoned.append(state.jobs[index].grain)
                abandon(index, &state)
            }
            return finishIfDone(&state)
        }
        finished?.resume()
        return abandoned
    }

    // MARK: Under the lock

    private struct Finished {
        var waiter: CheckedContinuation<[GrainJob], Never>
        var jobs: [GrainJob]

        func resume() { waiter.resume(returning: jobs) }
    }

    private func abandon(_ index: Int, _ state: inout State) {
        let worker = state.slots[index].worker
        state.tasks[worker]?.cancel()
        state.abandoned += 1
        state.slots[index].worker = 0
        state.slots[index].turnStart = nil
        state.jobs[index].abandonTurn()
        if state.slots[index].runsInLane {
            startLane(&state)
        } else {
            state.ownRunning -= 1
        }
        state.slots[index].runsInLane = false
        if state.jobs[index].isFinished {
            state.slots[index].isDone = true
            state.remaining -= 1
        } else {
            state.own.append(index)
        }
        startOwn(&state)
    }

    private func startLane(_ state: inout State) {
        state.lastWorker += 1
        let worker = state.lastWorker
        state.laneWorker = worker
        state.tasks[worker] = Task(executorPreference: executor) { await self.workLane(worker) }
    }

    private func startOwn(_ state: inout State) {
        while state.ownRunning < concurrency, let index = state.own.popFirst() {
            state.lastWorker += 1
            let worker = state.lastWorker
            state.ownRunning += 1
            state.slots[index].worker = worker
            let job = state.jobs[index]
            state.tasks[worker] = Task(executorPreference: executor) {
                await self.work(on: index, job, worker)
            }
        }
    }

    private func finishIfDone(_ state: inout State) -> Finished? {
        guard state.remaining == 0, let waiter = state.waiter else { return nil }
        state.waiter = nil
        defer { (state.jobs, state.slots) = ([], []) }
        return Finished(waiter: waiter, jobs: state.jobs)
    }

    // MARK: Workers

    private func workLane(_ worker: Int) async {
        while let (index, start) = nextInLane(worker) {
            var job = start
            let isFinished = job.runImmediately { self.keep($0, at: index, worker) }
            settle(index, job, worker, isFinished: isFinished)
        }
        end(worker)
    }

    private func work(on index: Int, _ start: GrainJob, _ worker: Int) async {
        var job = start
        await job.run(beforeTurn: { self.keep($0, at: index, worker) }) { pause in
            // Cancelled when the turn is abandoned; then nobody waits for what follows.
            try? await clocks.sleep(pause)
        }
        settle(index, job, worker, isFinished: true)
        end(worker)
    }

    private func nextInLane(_ worker: Int) -> (Int, GrainJob)? {
        state.withLock { state in
            guard state.laneWorker == worker, let index = state.lane.popFirst() else { return nil }
            state.slots[index].worker = worker
            return (index, state.jobs[index])
        }
    }

    /// - Returns: when the turn that now begins will be abandoned.
    @discardableResult
    private func keep(_ job: GrainJob, at index: Int, _ worker: Int) -> ContinuousClock.Instant {
        let start = clocks.monotonic()
        state.withLock { state in
            guard isCurrent(worker, index, state) else { return }
            if job.hasMoved { state.jobs[index] = job }
            state.slots[index].turnStart = start
        }
        return start.advanced(by: turnTime)
    }

    private func settle(_ index: Int, _ job: GrainJob, _ worker: Int, isFinished: Bool) {
        let finished = state.withLock { state -> Finished? in
            guard isCurrent(worker, index, state) else { return nil }
            state.jobs[index] = job
            state.slots[index].worker = 0
            if !state.slots[index].runsInLane { state.ownRunning -= 1 }
            state.slots[index].runsInLane = false
            if isFinished {
                state.slots[index].isDone = true
                state.remaining -= 1
            } else {
                state.slots[index].turnStart = nil
                state.own.append(index)
            }
            startOwn(&state)
            return finishIfDone(&state)
        }
        finished?.resume()
    }

    private func isCurrent(_ worker: Int, _ index: Int, _ state: State) -> Bool {
        state.waiter != nil && state.slots.indices.contains(index) && state.slots[index].worker == worker
            && !state.slots[index].isDone
    }

    private func end(_ worker: Int) {
        state.withLock { state in
            let task = state.tasks.removeValue(forKey: worker)
            if task?.isCancelled == true { state.abandoned -= 1 }
        }
    }
}
