import Logging
import OrchestraCore
import Placement
import Synchronization

/// The partitions that this silo runs, and where the others are.
///
/// It derives from the view, and from whom Kafka hears of, which silo shall own each partition (``Placement``), and runs
/// a ``PartitionRuntime`` for each that this silo shall own or follow. What it decides is only who *tries*: that no two
/// commit is the business of ``PartitionClaims``. So a partition that another silo shall own is served until that silo
/// asks for it.
final class SiloPartitions: Sendable {
    /// What this silo is to a partition.
    private enum Role {
        case owner, standby, none
    }

    private struct Entry {
        var runtime: PartitionRuntime
        var isNominated = false
        /// Who waits for the runtime to end.
        var waiting: [OneShot<Void>] = []
    }

    private struct State {
        var view: SiloView?
        /// The silos of the last placement.
        var candidates: [PlacementCandidate] = []
        var placement = Placement.empty
        var entries: [Int32: Entry] = [:]
        /// The silo gives everything away.
        var isLeaving = false
        /// What is left is drained, whether others take it or not.
        var isClosing = false

        /// In the order of their partitions; kept, for every tick asks.
        private var ordered: [PartitionRuntime]?

        mutating func set(_ entry: Entry?, of partition: Int32) {
            entries[partition] = entry
            ordered = nil
        }

        mutating func runtimes() -> [PartitionRuntime] {
            if let ordered { return ordered }
            let runtimes = entries.sorted { $0.key < $1.key }.map(\.value.runtime)
            ordered = runtimes
            return runtimes
        }

        func isCandidate(_ silo: String) -> Bool { candidates.contains { $0.id == silo } }
    }

    /// Where a call for a partition has to go.
    enum Destination {
        case here(PartitionRuntime)
        case silo(String)
        /// Nowhere at the moment.
        case nowhere(OrchestraError)
    }

    private let silo: String
    private let generation: Int64
    private let partitionCount: Int32
    private let standbys: Int
    private let slack: Double
    private let liveness: @Sendable () -> SiloLiveness
    private let canCommit: @Sendable () -> Bool
    private let proveEpoch: @Sendable () async -> Bool
    private let make: @Sendable (Int32) -> PartitionRuntime
    private let clocks: Clocks
    private let logger: Logger
    private let state = Mutex(State())
    private let starts: AsyncStream<PartitionRuntime>
    private let start: AsyncStream<PartitionRuntime>.Continuation

    /// - Parameters:
    ///   - liveness: of whom Kafka has heard.
    ///   - canCommit: whether the silo's producer is initialised now.
    ///   - proveEpoch: whether Kafka takes what this silo writes from now on: then no other process of its name can commit
    ///     under the epoch that it had.
    ///   - make: makes the runtime of a partition.
    init(
        _ configuration: SiloConfiguration, logger: Logger, liveness: @escaping @Sendable () -> SiloLiveness,
        canCommit: @escaping @Sendable () -> Bool, proveEpoch: @escaping @Sendable () async -> Bool,
        make: @escaping @Sendable (Int32) -> PartitionRuntime
    ) {
        silo = configuration.nodeID
        generation = configuration.generation
        partitionCount = configuration.partitionCount
        standbys = configuration.standbys
        slack = configuration.placementSlack
        self.liveness = liveness
        self.canCommit = canCommit
        self.proveEpoch = proveEpoch
        self.make = make
        clocks = configuration.clocks
        self.logger = logger
        (starts, start) = AsyncStream.makeStream()
    }

    // MARK: Life

    /// Runs partitions as they come, until ``leave(within:)`` has ended and all have been given back.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await runtime in starts {
                group.addTask {
                    await runtime.run()
                    self.ended(runtime)
                }
            }
        }
    }

    /// Gives all partitions away to the silos that ask for them, and takes no more.
    ///
    /// - Returns: when that is done; `false` if it is not after `limit`, or nobody else is there to take them.
    func drain(within limit: Duration) async -> Bool {
        state.withLock { $0.isLeaving = true }
        reconcile()
        let end = clocks.monotonic() + limit
        while clocks.monotonic() < end, !Task.isCancelled {
            let (isDone, isStuck) = state.withLock { ($0.entries.isEmpty, $0.placement.silos.isEmpty) }
            if isDone || isStuck { return isDone }
            // Everything else that has to happen is looked after elsewhere; this only waits for it.
            try? await clocks.sleep(.milliseconds(5))
        }
        return false
    }

    /// Gives all partitions away: to the silos that ask for them, or, when there is nobody to ask or the time has passed,
    /// back.
    func leave(within limit: Duration) async {
        _ = await drain(within: limit)
        close()
    }

    /// Gives everything back now.
    func close() {
        let runtimes = state.withLock { state in
            state.isLeaving = true
            state.isClosing = true
            return state.runtimes()
        }
        for runtime in runtimes { runtime.drain() }
        finishIfEmpty()
    }

    private func finishIfEmpty() {
        if state.withLock({ $0.isClosing && $0.entries.isEmpty }) { start.finish() }
    }

    private func ended(_ runtime: PartitionRuntime) {
        let waiting = state.withLock { state -> [OneShot<Void>] in
            guard let entry = state.entries[runtime.partition], entry.runtime === runtime else { return [] }
            // One that has stopped stays, so that its error is told and nothing is tried again.
            if runtime.lifecycleState == .stopped, !state.isClosing {
                state.entries[runtime.partition]?.waiting = []
            } else {
                state.set(nil, of: runtime.partition)
            }
            return entry.waiting
        }
        for wait in waiting { wait.resolve(()) }
        reconcile()
        finishIfEmpty()
    }

    // MARK: Views

    /// The view has changed. One that is older than another that has come already is passed over.
    func follow(_ view: SiloView) {
        state.withLock { state in
            if view.version >= state.view?.version ?? 0 { state.view = view }
        }
        reconcile()
    }

    /// Looks after what time brings.
    ///
    /// - Returns: when to look again at the latest; `nil` if there is nothing.
    func tick(at instant: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        // All of them, one after the other.
        runtimes.reduce(into: nil) { next, runtime in next = .earliest(next, runtime.tick(at: instant)) }
    }

    var runtimes: [PartitionRuntime] { state.withLock { $0.runtimes() } }

    /// Brings what runs here into line with the view and the heartbeats. To be called whenever one of them may have
    /// changed.
    func reconcile() {
        let liveness = liveness()
        var actions: [() -> Void] = []
        let moved = state.withLock { state -> Placement? in
            guard let view = state.view, !state.isClosing else { return nil }
            let before = state.placement
            place(view, liveness, &state)
            for partition in 0..<partitionCount { reconcile(partition, &state, &actions) }
            return state.placement == before ? nil : state.placement
        }
        for action in actions { action() }
        guard let moved else { return }
        logger.info(
            "placement",
            metadata: [
                "silos": "\(moved.silos.joined(separator: " "))",
                "partitions": "\(moved.partitions(ownedBy: silo).map(String.init).joined(separator: " "))",
            ])
    }

    private func place(_ view: SiloView, _ liveness: SiloLiveness, _ state: inout State) {
        let candidates = view.silos.filter { candidate in
            candidate.weight > 0 && !(state.isLeaving && candidate.id == silo)
                && liveness.isPresent(candidate.id, wasPresent: state.isCandidate(candidate.id))
        }.map { PlacementCandidate(id: $0.id, weight: $0.weight) }
        guard candidates != state.candidates else { return }
        state.candidates = candidates
        state.placement = Placement(partitionCount: partitionCount, candidates: candidates, slack: slack)
    }

    private func reconcile(_ partition: Int32, _ state: inout State, _ actions: inout [() -> Void]) {
        let role = role(in: partition, state)
        guard let entry = state.entries[partition] else {
            guard role != .none else { return }
            let runtime = make(partition)
            state.set(Entry(runtime: runtime, isNominated: role == .owner), of: partition)
            if role == .owner { runtime.nominate() }
            actions.append { self.start.yield(runtime) }
            return
        }
        switch (role, entry.runtime.lifecycleState) {
        case (.owner, _):
            guard !entry.isNominated else { return }
            state.entries[partition]?.isNominated = true
            actions.append { entry.runtime.nominate() }
        case (_, .serving), (_, .draining), (_, .stopped), (_, .released): return
        case (.standby, .unowned), (.standby, .following), (.standby, .clearing), (.standby, .backingOff):
            guard entry.isNominated else { return }
            state.entries[partition]?.isNominated = false
            actions.append { entry.runtime.withdraw() }
        default: actions.append { entry.runtime.drain() }
        }
    }

    private func role(in partition: Int32, _ state: State) -> Role {
        let placement = state.placement
        if placement.owner(of: partition) == silo { return .owner }
        guard !state.isLeaving, standbys > 0 else { return .none }
        return placement.standbys(of: partition, count: standbys).contains(silo) ? .standby : .none
    }

    // MARK: Hand-over

    /// What this silo's peers are to it.
    func standing(of other: String) -> SiloSuccession.Standing {
        let liveness = liveness()
        return state.withLock { state in
            guard let member = state.view?.silo(other) else { return .gone }
            let wasPresent = state.isCandidate(other) || member.weight == 0
            return liveness.isPresent(other, wasPresent: wasPresent) ? .present : .withoutKafka
        }
    }

    /// Another silo wants to own a partition.
    ///
    /// - Returns: whether this silo commits nothing more to it.
    func release(_ request: ReleaseRequest) async -> Bool {
        let (held, wait) = state.withLock { state -> (PartitionRuntime?, OneShot<Void>?) in
            guard let entry = state.entries[request.partition], entry.runtime.lifecycleState.isHolding else {
                return (nil, nil)
            }
            guard state.placement.owner(of: request.partition) == request.nominee else { return (entry.runtime, nil) }
            let wait = OneShot<Void>()
            state.entries[request.partition]?.waiting.append(wait)
            return (entry.runtime, wait)
        }
        if let held {
            guard let wait else { return false }
            held.drain()
            await wait.value(ifCancelled: ())
            if held.lifecycleState.isHolding { return false }
        }
        // Commits of a tenure that has ended have a known outcome, or ended the life of the producer; then only the next
        // life makes sure that none of them is still on its way.
        guard canCommit() else { return false }
        if request.generation == generation { return true }
        // The claim is of a predecessor, or of a successor. This process may have been fenced by it without knowing.
        return await proveEpoch()
    }

    // MARK: Calls

    func destination(of partition: Int32) -> Destination {
        state.withLock { state in
            let owner = state.placement.owner(of: partition)
            if let entry = state.entries[partition] {
                switch entry.runtime.lifecycleState {
                case .joining, .claiming, .restoring, .serving, .stopped: return .here(entry.runtime)
                case .unowned, .following, .clearing, .backingOff:
                    guard entry.isNominated else { break }
                    // The present owner serves until it has released the partition.
                    if let holder = entry.runtime.rival, state.view?.silo(holder) != nil { return .silo(holder) }
                    return .here(entry.runtime)
                case .draining, .released: break
                }
            }
            if let owner, owner != silo { return .silo(owner) }
            return .nowhere(PartitionRuntime.moved(partition))
        }
    }

    // MARK: For people

    /// Whether the silo has its place, and serves every partition that it shall own.
    var isReady: Bool {
        state.withLock { state in
            (state.isCandidate(silo) || state.isLeaving)
                && state.placement.partitions(ownedBy: silo).allSatisfy {
                    state.entries[$0]?.runtime.lifecycleState == .serving
                }
        }
    }

    var reports: [PartitionReport] {
        let entries = state.withLock { $0.entries }
        return entries.sorted { $0.key < $1.key }.map {
            $0.value.runtime.report(isNominated: $0.value.isNominated)
        }
    }
}
