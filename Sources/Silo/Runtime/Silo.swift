package import Avro
import EventLog
package import Logging
package import OrchestraCore
import Placement
import Records
import ServiceLifecycle
import Synchronization

/// A silo: the service that runs grains. It owns a share of its cluster's partitions.
///
/// At its start it creates the topics that are missing, checks that all have the same number of partitions, registers
/// the schemas, and takes over the partitions that the view of the cluster gives it; it is ready when all of those are
/// served. At a graceful shutdown other silos take its partitions over, one by one, while it goes on serving the rest;
/// what nobody takes finishes and commits the batch in hand. Any silo takes any call, and passes on what others own.
/// Calls that come while partitions are restored wait within their deadlines.
package final class Silo: Service, GrainCallHandler {
    private struct State {
        var partitions: SiloPartitions?
        /// The last view that came before the partitions were there.
        var view: SiloView?
        /// A later process of the same name is there: this one must not fence it.
        var isSuperseded = false
        /// Why it does not run.
        var failure: OrchestraError?
        /// Of the changelogs.
        var tombstoneRetention = Topics.tombstoneRetention
    }

    private let configuration: SiloConfiguration
    private let codec: any RecordCoding
    private let catalog: GrainCatalog
    private let partitioner: Partitioner
    private let logger: Logger
    private let network: (any SiloNetwork)?
    private let leaving: @Sendable () async -> Void
    private let connect: @Sendable () throws -> any SiloLog
    private let state: Mutex<State>

    /// - Parameters:
    ///   - grains: the application's grain types; ``WorkflowGrain`` is always there.
    ///   - codec: encodes and decodes records; its registry must be reachable when the silo runs.
    ///   - network: carries calls to other silos; without it the silo is alone, and owns all partitions.
    ///   - leaving: tells the cluster that this silo gives its partitions away.
    /// - Throws: ``OrchestraError`` with `badConfiguration` for a grain table, a workflow or a partition count that
    ///   cannot work.
    package convenience init(
        _ configuration: SiloConfiguration, grains: [any Grain.Type] = [], codec: RecordCodec,
        network: (any SiloNetwork)? = nil, leaving: @escaping @Sendable () async -> Void = {}, logger: Logger
    ) throws(OrchestraError) {
        try self.init(
            configuration, grains: grains, coding: codec, network: network, leaving: leaving, logger: logger)
    }

    /// - Parameter connect: makes the silo's clients; by default, of the Kafka that the configuration names.
    package init(
        _ configuration: SiloConfiguration, grains: [any Grain.Type], coding: any RecordCoding,
        network: (any SiloNetwork)? = nil, leaving: @escaping @Sendable () async -> Void = {}, logger: Logger,
        connect: (@Sendable () throws -> any SiloLog)? = nil
    ) throws(OrchestraError) {
        self.connect = connect ?? { try KafkaSiloLog(configuration, logger: logger) }
        self.network = network
        self.leaving = leaving
        let alone = SiloView(
            version: 0, silos: [SiloView.Silo(id: configuration.nodeID, generation: configuration.generation)])
        state = Mutex(State(view: network == nil ? alone : nil))
        self.configuration = configuration
        codec = coding
        let workflows = try WorkflowCatalog(configuration.workflows, retention: configuration.workflowRetention)
        catalog = try GrainCatalog(
            [WorkflowGrain.self] + grains, codec: coding, limits: configuration.limits, workflows: workflows)
        partitioner = try Partitioner(partitionCount: configuration.partitionCount)
        var logger = logger
        logger[metadataKey: "silo"] = "\(configuration.nodeID)"
        self.logger = logger
    }

    // MARK: Service

    /// Whether every partition is served that this silo shall own.
    package var isReady: Bool { state.withLock { $0.partitions }?.isReady ?? false }

    /// Where the partitions stand that this silo owns or follows, in the order of their numbers.
    package var partitionReports: [PartitionReport] { state.withLock { $0.partitions }?.reports ?? [] }

    /// The silos of the cluster have changed.
    package func follow(_ view: SiloView) {
        let partitions = state.withLock { state in
            // Views may overtake each other, also before there are partitions.
            if view.version >= state.view?.version ?? 0 { state.view = view }
            return state.partitions
        }
        partitions?.follow(view)
    }

    /// Waits until every partition is served that this silo shall own, or the task is cancelled.
    package func waitUntilReady() async {
        while !isReady, !Task.isCancelled {
            // Readiness is the conjunction of what many loops do; looking is simpler than counting.
            try? await configuration.clocks.sleep(configuration.tick)
        }
    }

    /// Runs the silo until it is shut down.
    ///
    /// - Throws: ``OrchestraError`` when topics, schemas or configuration do not fit; nothing is served then.
    package func run() async throws { try await run(until: { try await gracefulShutdown() }) }

    /// - Parameter shutdown: returns when the silo shall give its partitions away and end; throws when it is cancelled.
    package func run(until shutdown: @escaping @Sendable () async throws -> Void) async throws {
        let log = try connect()
        do {
            if try await prepare(log, until: shutdown) { try await serve(log, until: shutdown) }
        } catch {
            state.withLock { $0.failure = OrchestraError(.unavailable, "the silo could not start", cause: error) }
            await log.close()
            throw error
        }
        await log.close()
        logger.info("the silo has stopped")
    }

    /// - Returns: `false` if a shutdown came before the start was through.
    private func prepare(
        _ log: any SiloLog, until shutdown: @escaping @Sendable () async throws -> Void
    ) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool?.self) { group in
            group.addTask { try await self.prepareWhenReachable(log) }
            group.addTask {
                try? await shutdown()
                return nil
            }
            var isPrepared = false
            for try await outcome in group {
                if let outcome { isPrepared = outcome }
                group.cancelAll()
            }
            return isPrepared
        }
    }

    /// Prepares topics and schemas; waits for a broker or registry that cannot be reached (yet).
    ///
    /// - Returns: `false` if the silo was told to stop meanwhile.
    private func prepareWhenReachable(_ log: any SiloLog) async throws -> Bool {
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            do {
                try await prepare(log)
                return true
            } catch {
                guard !Task.isCancelled else { return false }
                guard Silo.mayPass(error) else { throw error }
                logger.warning("waiting for the broker and the registry", metadata: ["error": "\(error)"])
                // Ends early only when the silo stops.
                try? await configuration.clocks.sleep(pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
        return false
    }

    private static func mayPass(_ error: any Error) -> Bool {
        switch error {
        // A broker may not know yet what another has just created.
        case let error as EventLogError: [.retriable, .timedOut, .unknownTopic].contains(error.kind)
        case let error as OrchestraError: error.code == .unavailable
        default: false
        }
    }

    private func prepare(_ log: any SiloLog) async throws {
        let specifications = Topics.specifications(
            partitionCount: configuration.partitionCount, replicationFactor: configuration.replicationFactor,
            streams: catalog.streamTopics)
        try await log.create(specifications)
        let names = specifications.map(\.name)
        let counts = try await log.partitionCounts(of: names)
        try Topics.check(counts, topics: names, partitionCount: configuration.partitionCount)
        let retention = try await tombstoneRetention(log)
        state.withLock { $0.tombstoneRetention = retention }
        try await Silo.registerSchemas(catalog, codec)
        logger.info("topics and schemas are in place", metadata: ["topics": "\(names.count)"])
    }

    /// The topic may have been created by others, with other settings.
    private func tombstoneRetention(_ log: any SiloLog) async throws -> Duration {
        do {
            return try Topics.tombstoneRetention(
                in: try await log.configuration(of: Topics.state, [Topics.tombstoneRetentionName]))
        } catch let error as EventLogError where error.kind == .fatal {
            // Most likely, this user may not ask.
            logger.warning(
                "it cannot be read how long the changelog keeps tombstones",
                metadata: ["assumed": "\(Topics.tombstoneRetention)", "error": "\(error)"])
            return Topics.tombstoneRetention
        }
    }

    /// Registers every record that a silo writes or reads.
    ///
    /// - Throws: ``OrchestraError`` with the registry's own words when a change is incompatible.
    package static func registerSchemas(_ catalog: GrainCatalog, _ codec: any RecordCoding) async throws {
        try await codec.register(GrainStateRecord.self, subject: "\(Topics.state)-\(GrainStateRecord.avroName)")
        try await codec.register(PartitionClaim.self, subject: "\(Topics.state)-\(PartitionClaim.avroName)")
        try await codec.register(PartitionProgress.self, subject: "\(Topics.state)-\(PartitionProgress.avroName)")
        try await codec.register(SealedRequests.self, subject: "\(Topics.state)-\(SealedRequests.avroName)")
        try await codec.register(DeadLetter.self, subject: "\(Topics.deadLetters)-value")
        try await codec.register(GrainCommandRecord.self, subject: "\(Topics.commands)-value")
        try await codec.register(SiloHeartbeat.self, subject: "\(Topics.silos)-value")
        try await catalog.register(with: codec)
    }

    // MARK: Serving

    private func makeLane(_ log: any SiloLog, _ groupOffsets: GroupOffsets) -> TransactionLane {
        let id = configuration.transactionalID
        // A grain that takes tasks in finds them by their keys.
        let spread =
            catalog.inputTopics.contains(Topics.agentTasks)
            ? nil : TaskSpread(topic: Topics.agentTasks, partitionCount: configuration.partitionCount)
        return TransactionLane(logger: logger, spread: spread, didCommit: { groupOffsets.note($0.offsets) }) {
            () throws(EventLogError) in
            guard !self.state.withLock({ $0.isSuperseded }) else {
                throw EventLogError(
                    kind: .fenced, name: "_FENCED", message: "another process runs under this silo's name")
            }
            return try log.makeProducer(id)
        }
    }

    private func makePartitions(
        _ log: any SiloLog, _ lane: TransactionLane, _ heartbeats: Heartbeats, _ lease: ServingLease,
        _ attention: Attention
    ) -> SiloPartitions {
        let (configuration, logger) = (configuration, logger)
        let succession = SiloSuccession(
            configuration, heartbeats: heartbeats, network: network, logger: logger,
            standing: { [weak self] other in
                self?.state.withLock { $0.partitions }?.standing(of: other) ?? .present
            },
            makeProducer: { id throws(EventLogError) in try log.makeProducer(id) })
        let context = PartitionContext(
            catalog: catalog,
            origin: BatchOrigin(
                partition: 0, partitioner: partitioner, nodeID: configuration.nodeID,
                limits: configuration.limits, codec: codec),
            generation: configuration.generation, transactionalID: configuration.transactionalID,
            retries: configuration.retries, succession: succession,
            calls: SiloCalls(silo: self), lease: lease,
            budget: StateBudget(limit: configuration.limits.maximumSiloStateBytes) { attention.ask() },
            metrics: SiloMetrics(), clocks: configuration.clocks, attention: attention,
            tombstoneRetention: state.withLock { $0.tombstoneRetention },
            restoreGate: Gate(limit: max(configuration.concurrentRestores, 1)),
            restorePace: configuration.restoreRate > 0
                ? RestorePace(bytesPerSecond: configuration.restoreRate, clocks: configuration.clocks) : nil,
            executor: configuration.executor,
            logger: logger)
        return SiloPartitions(
            configuration, logger: logger, liveness: { heartbeats.liveness }, canCommit: { lane.isOpen },
            proveEpoch: { await heartbeats.confirm() }
        ) { partition in
            PartitionRuntime(partition: partition, context: context, log: log.partition(partition, lane: lane))
        }
    }

    /// Runs partitions until the silo is shut down and all have been given back.
    private func serve(
        _ log: any SiloLog, until shutdown: @escaping @Sendable () async throws -> Void
    ) async throws {
        let groupOffsets = GroupOffsets(clocks: configuration.clocks, logger: logger) {
            offsets throws(EventLogError) in try await log.commitOffsets(offsets)
        }
        let lane = makeLane(log, groupOffsets)
        let attention = Attention()
        let lease = ServingLease(clocks: configuration.clocks, attention: attention)
        let heartbeats = Heartbeats(
            configuration, sink: lane.makeSink(),
            open: { () async throws(EventLogError) in try await log.openHeartbeats() }, codec: codec, lease: lease,
            logger: logger, superseded: { [weak self] in self?.state.withLock { $0.isSuperseded = true } },
            heard: { attention.askToReconcile() })
        let partitions = makePartitions(log, lane, heartbeats, lease, attention)
        let timeKeeper = TimeKeeper(
            tick: configuration.tick, clocks: configuration.clocks, attention: attention, partitions: partitions,
            lease: lease)
        lane.onEndOfLife { error in
            lease.revoke()
            for partition in partitions.runtimes { partition.endLife(error) }
        }
        let view = state.withLock { state in
            state.partitions = partitions
            return state.view
        }
        if let view { partitions.follow(view) }
        await withTaskGroup(of: Void.self) { group in
            // A silo that is busy must not seem dead: what shows that it lives goes first.
            group.addTask(priority: .high) { await lane.run() }
            group.addTask(priority: .high) { await heartbeats.run() }
            group.addTask { await groupOffsets.run() }
            group.addTask { await timeKeeper.run() }
            group.addTask { await self.reportReadiness() }
            await withTaskGroup(of: Void.self) { serving in
                serving.addTask { await partitions.run() }
                serving.addTask { await self.leave(partitions, after: shutdown) }
            }
            await lane.end()
            group.cancelAll()
        }
        await groupOffsets.report()
    }

    private func leave(
        _ partitions: SiloPartitions, after shutdown: @Sendable () async throws -> Void
    ) async {
        do {
            try await shutdown()
            logger.info("giving all partitions away")
            await leaving()
            await partitions.leave(within: network == nil ? .zero : configuration.handOverTime)
        } catch {
            // The task was cancelled: no time for others to take over.
            partitions.close()
        }
    }

    private func reportReadiness() async {
        let start = configuration.clocks.monotonic()
        await waitUntilReady()
        guard isReady else { return }
        let duration = configuration.clocks.monotonic() - start
        logger.info("ready", metadata: ["milliseconds": "\(duration.wholeMilliseconds)"])
    }

    // MARK: Calls

    /// The calls of turns, as long as there is a silo.
    private struct SiloCalls: GrainCallHandler {
        weak let silo: Silo?

        func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
            guard let silo else { throw OrchestraError(.unavailable, "the silo has stopped") }
            return try await silo.handle(request)
        }
    }

    /// Answers a call, or has the owner answer it.
    ///
    /// - Throws: ``OrchestraError``: what the grain throws; `notOwner` when the call has been passed on too often or its
    ///   partition is on its way and the call came from another silo; `unavailable` when no owner is known in time.
    package func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        let partitions = try partitions()
        if request.grain.type == SiloMessage.grainType {
            return try await answer(request, try SiloMessage(request), partitions)
        }
        let partition = partitioner.partition(of: request.grain)
        let deadline = configuration.clocks.monotonic() + min(request.timeLeft, .seconds(86_400))
        var request = request
        var pause = configuration.tick
        while true {
            let obstacle: OrchestraError
            do throws(OrchestraError) {
                return try await pass(request, partitions.destination(of: partition))
            } catch {
                guard error.code == .notOwner else { throw error }
                obstacle = error
            }
            // Where the call entered the cluster, it is tried until the partition has settled.
            request.timeLeft = deadline - configuration.clocks.monotonic()
            guard request.hops == 0, request.timeLeft > pause else { throw obstacle }
            do {
                // Ever longer, and not all at once: many calls may wait for the same partition.
                try await configuration.clocks.sleep(pause * configuration.jitter())
                pause = min(pause * 2, .milliseconds(320))
            } catch {
                throw OrchestraError(.unavailable, "the caller of \(request.grain) went away")
            }
        }
    }

    private func pass(
        _ request: GrainCallRequest, _ destination: SiloPartitions.Destination
    ) async throws(OrchestraError) -> GrainCallReply {
        switch destination {
        case .here(let runtime): return try await runtime.handle(request)
        case .nowhere(let reason): throw reason
        case .silo(let owner):
            guard let network, request.hops < GrainCallRequest.maximumHops else {
                throw OrchestraError(
                    .notOwner, "\(owner) owns \(request.grain), and the call has been passed on \(request.hops) times",
                    nextStep: "try again when the silos agree on their view")
            }
            var next = request
            next.hops += 1
            return try await network.send(next, to: owner)
        }
    }

    private func partitions() throws(OrchestraError) -> SiloPartitions {
        let (partitions, failure) = state.withLock { ($0.partitions, $0.failure) }
        if let failure { throw failure }
        guard let partitions else {
            throw OrchestraError(.unavailable, "the silo is starting", nextStep: "try again in a moment")
        }
        return partitions
    }

    private func answer(
        _ request: GrainCallRequest, _ message: SiloMessage, _ partitions: SiloPartitions
    ) async throws(OrchestraError) -> GrainCallReply {
        switch message {
        case .release(let release): return try ReleaseReply(isReleased: await partitions.release(release)).reply()
        case .describePartitions:
            return GrainCallReply(version: 0, payload: try MessageCoding.encode(partitions.reports))
        case .drain(let silo):
            if silo != configuration.nodeID {
                return try await pass(request, .silo(silo))
            }
            logger.notice("giving all partitions away, as an operator wants it")
            await leaving()
            guard await partitions.drain(within: request.timeLeft) else {
                throw OrchestraError(
                    .unavailable,
                    "\(silo) still has \(partitions.reports.count) partitions; it goes on giving them away",
                    nextStep: "start another silo if there is none, and look at the placement")
            }
            return GrainCallReply(version: 0, payload: [])
        }
    }
}
