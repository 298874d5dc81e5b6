import Membership
import OrchestraCore
import SeededRandom
import Silo
import Synchronization

/// Time that passes only when there is nothing else to do, and the processes that live in it.
///
/// The silos of a simulation are the real ones, tasks and all. Their tasks run on a ``VirtualHost``, which is a task
/// executor, and sleep by its clock. So one thread runs everything, in an order that the seed decides: a run is a
/// function of its seed.
///
/// A world belongs to the thread that runs it; this is why the classes of the simulation may say `@unchecked Sendable`.
final class VirtualWorld: @unchecked Sendable {
    /// In microseconds.
    private(set) var time: Int64 = 0
    var random: SeededGenerator
    /// Is given what happens, line by line.
    var trace: ((String) -> Void)?
    private(set) var jobCount = 0
    private(set) var traceHash: UInt64 = 0
    private var agenda = Agenda()
    private var active: [VirtualHost] = []
    private let thread = ThreadIdentity()
    /// More jobs than this are a loop without end.
    private static let jobLimit = 2_000_000

    init(seed: UInt64) { random = SeededGenerator(seed: mixed(seed) ^ 0x0411) }

    func log(_ text: @autoclosure () -> String) {
        guard let trace else { return }
        trace("\(Double(time) / 1_000_000) \(text())")
    }

    /// Takes note of something that must be the same whenever the seed is.
    func mark(_ value: UInt64) { traceHash = mixed(traceHash ^ value ^ UInt64(bitPattern: time) << 20) }

    func after(_ delay: Int64, _ body: @escaping () -> Void) { agenda.plan(at: time + max(delay, 0), body) }

    /// - Returns: a duration in microseconds.
    func between(_ low: Int64, _ high: Int64) -> Int64 { low + Int64(random.below(Int(high - low + 1))) }

    func happens(_ probability: Double) -> Bool { probability > 0 && random.fraction() < probability }

    /// Runs until the condition holds (looked at between events) or the time has come.
    ///
    /// - Returns: whether the condition held.
    @discardableResult
    func run(until end: Int64, stopWhen condition: (() -> Bool)? = nil) -> Bool {
        settle()
        var looked = time
        while let next = agenda.nextTime, next <= end, jobCount < Self.jobLimit {
            // Looking costs something too.
            if let condition, next - looked >= 50_000 {
                looked = next
                if condition() { return true }
            }
            guard let (time, body) = agenda.next() else { break }
            self.time = time
            body()
            settle()
        }
        time = max(time, end)
        return condition?() ?? false
    }

    var isEndless: Bool { jobCount >= Self.jobLimit }

    fileprivate func activate(_ host: VirtualHost) {
        precondition(thread.isCurrent, "a job of the simulation comes from outside it")
        active.append(host)
    }

    fileprivate func deactivate(_ host: VirtualHost) { active.removeAll { $0 === host } }

    /// Runs jobs until all wait.
    private func settle() {
        while !active.isEmpty, jobCount < Self.jobLimit {
            let host = active[random.below(active.count)]
            jobCount += 1
            // Threads do not take jobs in quite the order in which they came.
            host.runOne(random.below(3))
        }
    }
}

/// One process and its machine: where its tasks run, and its clock.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class VirtualHost: TaskExecutor, @unchecked Sendable {
    let name: String
    let world: VirtualWorld
    /// How many microseconds a second its clock is fast.
    let drift: Int64
    private let start: Int64
    private var ready: [UnownedJob] = []
    private var sleepers: [UInt64: CheckedContinuation<Void, any Error>] = [:]
    private var lastSleeper: UInt64 = 0
    /// Whether the world knows that there is something to run.
    private var isActive = false
    private(set) var isPaused = false
    /// The process has ended: nothing that it still does has an effect.
    private(set) var isDead = false
    var isCutFromKafka = false

    init(_ name: String, in world: VirtualWorld, drift: Int64 = 0) {
        self.name = name
        self.world = world
        self.drift = drift
        start = world.time
    }

    // MARK: Tasks

    func enqueue(_ job: consuming ExecutorJob) {
        ready.append(UnownedJob(job))
        activateIfNeeded()
    }

    fileprivate func runOne(_ choice: Int) {
        let job = ready.remove(at: min(choice, ready.count - 1))
        job.runSynchronously(on: asUnownedTaskExecutor())
        if ready.isEmpty { deactivate() }
    }

    private func activateIfNeeded() {
        guard !isActive, !isPaused, !ready.isEmpty else { return }
        isActive = true
        world.activate(self)
    }

    private func deactivate() {
        isActive = false
        world.deactivate(self)
    }

    func pause() {
        isPaused = true
        deactivate()
    }

    func resume() {
        isPaused = false
        activateIfNeeded()
    }

    /// Ends the process. Its tasks run to their ends, but reach nobody and wait for nothing.
    func die() {
        isDead = true
        resume()
        let waiting = sleepers.sorted { $0.key < $1.key }
        sleepers = [:]
        for (_, continuation) in waiting { continuation.resume(throwing: CancellationError()) }
    }

    // MARK: Time

    /// Instants are counted from here; what it is does not matter.
    private static let origin = ContinuousClock.now

    var now: ContinuousClock.Instant {
        let local = world.time + (world.time - start) * drift / 1_000_000
        return VirtualHost.origin + .microseconds(local)
    }

    var clocks: Clocks {
        Clocks(
            wall: { Timestamp(millisecondsSinceEpoch: 1_700_000_000_000 + self.world.time / 1_000) },
            monotonic: { self.now }, sleep: { try await self.sleep($0) })
    }

    func sleep(_ duration: Duration) async throws {
        let microseconds = Int64(Double(duration.microseconds) / (1 + Double(drift) / 1_000_000)) + 1
        lastSleeper += 1
        let sleeper = lastSleeper
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                guard !Task.isCancelled, !isDead else { return continuation.resume(throwing: CancellationError()) }
                sleepers[sleeper] = continuation
                world.after(microseconds) { self.sleepers.removeValue(forKey: sleeper)?.resume() }
            }
        } onCancel: {
            sleepers.removeValue(forKey: sleeper)?.resume(throwing: CancellationError())
        }
    }
}
