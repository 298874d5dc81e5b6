package import Avro
import EventLog
package import Logging
package import OrchestraCore
import Placement
import Records
import ServiceLifecycle
import Synchronization

/// A silo: the service that runs grains. It owns all partitions of its cluster.
///
/// At its start it creates the topics that are missing, checks that all have the same number of partitions, registers
/// the schemas, and takes the partitions over; it is ready when all of them are served. At a graceful shutdown every
/// partition finishes and commits the batch in hand. Calls that come while partitions are restored wait within their
/// deadlines.
package final class Silo: Service, GrainCallHandler {
    private struct State {
        var partitions: [PartitionRuntime] = []
        /// Callers and readiness checks that wait for the partitions to exist, or to be served.
        var failure: OrchestraError?
    }

    private static let tick = Duration.milliseconds(20)

    private let configuration: SiloConfiguration
    private let codec: any RecordCoding
    private let catalog: GrainCatalog
    private let partitioner: Partitioner
    private let logger: Logger
    private let budget: StateBudget
    private let state = Mutex(State())

    /// - Parameters:
    ///   - grains: the application's grain types; ``WorkflowGrain`` is always there.
    ///   - codec: encodes and decodes records; its registry must be reachable when the silo runs.
    /// - Throws: ``OrchestraError`` with `badConfiguration` for a grain table, a workflow or a partition count that
    ///   cannot work.
    package convenience init(
        _ configuration: SiloConfiguration, grains: [any Grain.Type] = [], codec: RecordCodec, logger: Logger
    ) throws(OrchestraError) {
        try self.init(configuration, grains: grains, coding: codec, logger: logger)
    }

    package init(
        _ configuration: SiloConfiguration, grains: [any Grain.Type], coding: any RecordCoding, logger: Logger
    ) throws(OrchestraError) {
        self.configuration = configuration
        codec = coding
        let workflows = try WorkflowCatalog(configuration.workflows, retention: configuration.workflowRetention)
        catalog = try GrainCatalog(
            [WorkflowGrain.self] + grains, codec: coding, limits: configuration.limits, workflows: workflows)
        partitioner = try Partitioner(partitionCount: configuration.partitionCount)
        budget = StateBudget(limit: configuration.limits.maximumSiloStateBytes)
        var logger = logger
        logger[metadataKey: "silo"] = "\(configuration.nodeID)"
        self.logger = logger
    }

    // MARK: Service

    /// Whether every partition is served.
    package var isReady: Bool {
        let partitions = state.withLock { $0.partitions }
        return !partitions.isEmpty && partitions.allSatisfy { $0.lifecycleState == .serving }
    }

    /// Where each partition stands, in the order of their numbers; empty before the start.
    package var partitionStates: [PartitionLifecycle.State] {
        state.withLock { $0.partitions }.map(\.lifecycleState)
    }

    /// Waits until every partition is served, or the task is cancelled.
    package func waitUntilReady() async {
        while !isReady, !Task.isCancelled {
            // Readiness is the conjunction of what many loops do; looking is simpler than counting.
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Runs the silo until it is shut down.
    ///
    /// - Throws: ``OrchestraError`` when topics, schemas or configuration do not fit; nothing is served then.
    package func run() async throws {
        let admin = try Admin(configuration.kafka, logger: logger)
        let inputs = try PartitionConsumer(configuration.kafka, isolation: .readCommitted, logger: logger)
        let changelogs = try PartitionConsumer(configuration.kafka, isolation: .readCommitted, logger: logger)
        do {
            // Cancelled by a shutdown that comes before the start is through.
            let isPrepared = try await cancelWhenGracefulShutdown { try await self.prepareWhenReachable(admin) }
            if isPrepared {
                let lane = makeLane()
                let partitions = makePartitions(lane: lane, admin: admin, inputs: inputs, changelogs: changelogs)
                await serve(partitions, lane)
            }
        } catch {
            state.withLock { $0.failure = OrchestraError(.unavailable, "the silo could not start", cause: error) }
            await inputs.close()
            await changelogs.close()
            await admin.close()
            throw error
        }
        await inputs.close()
        await changelogs.close()
        await admin.close()
        logger.info("the silo has stopped")
    }

    /// Prepares topics and schemas; waits for a broker or registry that cannot be reached (yet).
    ///
    /// - Returns: `false` if the silo was told to stop meanwhile.
    private func prepareWhenReachable(_ admin: Admin) async throws -> Bool {
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            do {
                try await prepare(admin)
                return true
            } catch {
                guard !Task.isCancelled else { return false }
                guard Silo.mayPass(error) else { throw error }
                logger.warning("waiting for the broker and the registry", metadata: ["error": "\(error)"])
                // Ends early only when the silo stops.
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
        return false
    }

    private static func mayPass(_ error: any Error) -> Bool {
        switch error {
        case let error as EventLogError: error.kind == .retriable || error.kind == .timedOut
        case let error as OrchestraError: error.code == .unavailable
        default: false
        }
    }

    private func prepare(_ admin: Admin) async throws {
        let specifications = Topics.specifications(
            partitionCount: configuration.partitionCount, replicationFactor: configuration.replicationFactor,
            streams: catalog.streamTopics)
        try await admin.create(specifications, timeout: .seconds(30))
        let names = specifications.map(\.name)
        let counts = try await admin.partitionCounts(of: names, timeout: .seconds(30))
        try Topics.check(counts, topics: names, partitionCount: configuration.partitionCount)
        try await Silo.registerSchemas(catalog, codec)
        logger.info("topics and schemas are in place", metadata: ["topics": "\(names.count)"])
    }

    /// Registers every record that a silo writes or reads.
    ///
    /// - Throws: ``OrchestraError`` with the registry's own words when a change is incompatible.
    package static func registerSchemas(_ catalog: GrainCatalog, _ codec: any RecordCoding) async throws {
        try await codec.register(GrainStateRecord.self, subject: "\(Topics.state)-\(GrainStateRecord.avroName)")
        try await codec.register(PartitionClaim.self, subject: "\(Topics.state)-\(PartitionClaim.avroName)")
        try await codec.register(PartitionProgress.self, subject: "\(Topics.state)-\(PartitionProgress.avroName)")
        try await codec.register(DeadLetter.self, subject: "\(Topics.deadLetters)-value")
        try await codec.register(GrainCommandRecord.self, subject: "\(Topics.commands)-value")
        try await catalog.register(with: codec)
    }

    private func makeLane() -> TransactionLane {
        let (configuration, logger) = (configuration, logger)
        return TransactionLane(groupID: configuration.groupID, clocks: configuration.clocks, logger: logger) {
            () throws(EventLogError) in
            try TransactionalProducer(
                configuration.kafka, transactionalID: configuration.transactionalID,
                transactionTimeout: configuration.transactionTimeout, logger: logger)
        }
    }

    private func makePartitions(
        lane: TransactionLane, admin: Admin, inputs: PartitionConsumer, changelogs: PartitionConsumer
    ) -> [PartitionRuntime] {
        let context = PartitionContext(
            catalog: catalog,
            origin: BatchOrigin(
                partition: 0, partitioner: partitioner, nodeID: configuration.nodeID, groupID: configuration.groupID,
                limits: configuration.limits, codec: codec),
            generation: configuration.generation, transactionalID: configuration.transactionalID,
            retries: configuration.retries, claimGrace: configuration.claimGrace, budget: budget,
            metrics: SiloMetrics(), clocks: configuration.clocks,
            restoreGate: Gate(limit: max(configuration.concurrentRestores, 1)), logger: logger)
        return (0..<configuration.partitionCount).map { partition in
            let log = KafkaPartitionLog(
                partition: partition, configuration: configuration.kafka,
                transactionTimeout: configuration.transactionTimeout, lane: lane, inputs: inputs,
                changelogs: changelogs, admin: admin, logger: logger)
            return PartitionRuntime(partition: partition, context: context, log: log)
        }
    }

    /// Runs the partitions until all of them have ended.
    private func serve(_ partitions: [PartitionRuntime], _ lane: TransactionLane) async {
        state.withLock { $0.partitions = partitions }
        lane.onEndOfLife { error in
            for partition in partitions { partition.endLife(error) }
        }
        await withGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.keepTime(for: partitions, lane) }
                group.addTask { await lane.run() }
                await withTaskGroup(of: Void.self) { loops in
                    for partition in partitions { loops.addTask { await partition.run() } }
                    loops.addTask { await self.reportReadiness() }
                }
                await lane.end()
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.logger.info("draining all partitions")
            for partition in partitions { partition.drain() }
        }
    }

    private func keepTime(for partitions: [PartitionRuntime], _ lane: TransactionLane) async {
        while !Task.isCancelled {
            // Ends early only when the silo stops.
            try? await Task.sleep(for: Silo.tick)
            let instant = configuration.clocks.monotonic()
            for partition in partitions { partition.tick(at: instant) }
            lane.tick(at: instant)
        }
    }

    private func reportReadiness() async {
        let start = configuration.clocks.monotonic()
        let isOver = { self.partitionStates.allSatisfy { $0 == .released || $0 == .stopped } }
        while !isReady, !isOver(), !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(20))
        }
        guard isReady else { return }
        let duration = configuration.clocks.monotonic() - start
        logger.info(
            "ready",
            metadata: [
                "partitions": "\(configuration.partitionCount)", "milliseconds": "\(duration.wholeMilliseconds)",
            ])
    }

    // MARK: Calls

    package func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        let index = Int(partitioner.partition(of: request.grain))
        let partition = state.withLock { state -> Result<PartitionRuntime, OrchestraError> in
            if let failure = state.failure { return .failure(failure) }
            guard state.partitions.indices.contains(index) else {
                return .failure(OrchestraError(.unavailable, "the silo is starting", nextStep: "try again in a moment"))
            }
            return .success(state.partitions[index])
        }
        return try await partition.get().handle(request)
    }
}
