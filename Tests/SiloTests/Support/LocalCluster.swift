import Avro
import EventLog
import Foundation
import HTTPClient
import LocalBroker
import LocalRegistry
import Logging
import OrchestraCore
import Placement
import Records
import ServiceLifecycle
import Silo
import Synchronization

/// A real broker and a real registry in this process, over a folder of their own.
struct LocalCluster: Sendable {
    let kafka: KafkaConfiguration
    let codec: RecordCodec
    let logger: Logger

    static func run(
        directory: String? = nil, _ body: @escaping @Sendable (LocalCluster) async throws -> Void
    ) async throws {
        let folder = directory ?? NSTemporaryDirectory() + "orchestra-silo-\(UInt32.random(in: .min ... .max))"
        defer { if directory == nil { try? FileManager.default.removeItem(atPath: folder) } }
        var logger = Logger(label: "cluster")
        logger.logLevel =
            ProcessInfo.processInfo.environment["SILO_TEST_LOG"].flatMap { Logger.Level(rawValue: $0) } ?? .critical
        let broker = try LocalBroker(LocalBrokerConfiguration(dataDirectory: folder), logger: logger)
        let registry = try LocalRegistry(database: broker.database, host: "127.0.0.1", port: 0, logger: logger)
        let http = HTTPClient()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await broker.run() }
            group.addTask { try await registry.run() }
            let port = try await broker.boundPort()
            let registryPort = try await registry.boundPort()
            let codec = RecordCodec(
                registry: SchemaRegistryClient(url: "http://127.0.0.1:\(registryPort)", http: http))
            try await body(
                LocalCluster(
                    kafka: KafkaConfiguration(bootstrapServers: "127.0.0.1:\(port)", clientID: "test"), codec: codec,
                    logger: logger))
            group.cancelAll()
            try? await group.waitForAll()
        }
        await http.close()
    }

    func silo(
        _ nodeID: String = "silo-1", generation: Int64 = 1, grains: [any Grain.Type] = [],
        partitionCount: Int32 = 4, _ configure: (inout SiloConfiguration) -> Void = { _ in }
    ) throws -> Silo {
        var configuration = SiloConfiguration(nodeID: nodeID, generation: generation, kafka: kafka)
        configuration.partitionCount = partitionCount
        configure(&configuration)
        return try Silo(configuration, grains: grains, codec: codec, logger: logger)
    }

    /// Runs a silo while `body` does, and shuts it down gracefully.
    func serve(_ silo: Silo, _ body: @escaping @Sendable (Silo) async throws -> Void) async throws {
        let group = ServiceGroup(
            configuration: .init(services: [.init(service: silo)], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            await silo.waitUntilReady()
            do {
                try await body(silo)
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }
}

extension LocalCluster {
    /// How many committed records a topic holds.
    func count(_ topic: String, partitions: Int32) async throws -> Int {
        let consumer = try PartitionConsumer(kafka, isolation: .readCommitted, logger: logger)
        var open = Set((0..<partitions).map { TopicPartition(topic: topic, partition: $0) })
        let intake = try await consumer.open(Dictionary(uniqueKeysWithValues: open.map { ($0, .beginning) }))
        var count = 0
        while !open.isEmpty {
            for event in try await intake.next(maximumRecords: 1_000) {
                switch event {
                case .record: count += 1
                case .endOfPartition(let place, _): open.remove(place)
                }
            }
        }
        await intake.close()
        await consumer.close()
        return count
    }
}

/// Several silos in this process, and what connects them: who is in whose view, and who reaches whom.
final class SiloGroup: Sendable {
    fileprivate struct State {
        var silos: [String: Silo] = [:]
        var members: [SiloView.Silo] = []
        /// Who cannot reach whom.
        var cuts: Set<[String]> = []
        var version: UInt64 = 0
    }

    private struct Link: SiloNetwork {
        let group: SiloGroup
        let from: String

        func send(_ request: GrainCallRequest, to silo: String) async throws(OrchestraError) -> GrainCallReply {
            guard let target = group.target(silo, from: from) else {
                throw OrchestraError(.unavailable, "\(silo) cannot be reached from \(from)")
            }
            return try await target.handle(request)
        }
    }

    let cluster: LocalCluster
    private let state = Mutex(State())

    init(_ cluster: LocalCluster) { self.cluster = cluster }

    func makeSilo(
        _ name: String, grains: [any Grain.Type] = [Counter.self], partitionCount: Int32 = 8,
        _ configure: (inout SiloConfiguration) -> Void = { _ in }
    ) throws -> Silo {
        var configuration = SiloConfiguration(nodeID: name, generation: 1, kafka: cluster.kafka)
        configuration.partitionCount = partitionCount
        configuration.heartbeatInterval = .milliseconds(300)
        configure(&configuration)
        return try Silo(
            configuration, grains: grains, codec: cluster.codec, network: Link(group: self, from: name),
            leaving: { self.change { $0.setWeight(0, of: name) } }, logger: cluster.logger)
    }

    /// Runs a silo as a member of every view; it leaves them when `body` ends or throws.
    func serve(_ name: String, _ silo: Silo, _ body: () async throws -> Void) async throws {
        let group = ServiceGroup(
            configuration: .init(services: [.init(service: silo)], logger: cluster.logger))
        state.withLock { $0.silos[name] = silo }
        change { $0.members.append(SiloView.Silo(id: name, generation: 1)) }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do {
                try await body()
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            change { $0.members.removeAll { $0.id == name } }
            state.withLock { $0.silos[name] = nil }
            try result.get()
        }
    }

    /// Tells a silo a view of its own.
    func show(_ names: [String], to silo: String) {
        let (target, view) = state.withLock { state in
            state.version += 1
            return (
                state.silos[silo],
                SiloView(version: state.version, silos: names.map { SiloView.Silo(id: $0, generation: 1) })
            )
        }
        target?.follow(view)
    }

    func cut(_ one: String, _ other: String) { state.withLock { _ = $0.cuts.insert([one, other].sorted()) } }

    private func target(_ name: String, from: String) -> Silo? {
        state.withLock { $0.cuts.contains([name, from].sorted()) ? nil : $0.silos[name] }
    }

    private func change(_ body: (inout State) -> Void) {
        let (silos, view) = state.withLock { state in
            body(&state)
            state.version += 1
            return (Array(state.silos.values), SiloView(version: state.version, silos: state.members))
        }
        for silo in silos { silo.follow(view) }
    }
}

extension SiloGroup.State {
    fileprivate mutating func setWeight(_ weight: UInt32, of name: String) {
        for index in members.indices where members[index].id == name { members[index].weight = weight }
    }
}

/// Answers every task at once, in upper case: an agent without a kernel.
struct EchoAgent: Sendable {
    let cluster: LocalCluster
    let partitionCount: Int32

    func run() async throws {
        let consumer = try PartitionConsumer(cluster.kafka, isolation: .readCommitted, logger: cluster.logger)
        let producer = try Producer(cluster.kafka, logger: cluster.logger)
        try await cluster.codec.register(AgentResult.self, subject: "\(Topics.agentResults)-value")
        var starts: [TopicPartition: StartOffset] = [:]
        for partition in 0..<partitionCount {
            starts[TopicPartition(topic: Topics.agentTasks, partition: partition)] = .beginning
        }
        let intake = try await consumer.open(starts)
        while !Task.isCancelled {
            guard let events = try? await intake.next(maximumRecords: 512) else { break }
            var results: [ProducerRecord] = []
            for case .record(let record) in events {
                let task = try await cluster.codec.decode(AgentTask.self, from: record.value ?? [])
                let now = task.createdAt
                let result = AgentResult(
                    taskId: task.taskId, workflowId: task.workflowId, agent: task.agent, worker: "echo",
                    outcome: .succeeded, output: task.input.uppercased(),
                    functions: [FunctionOutput(plugin: "Text", function: "Count", output: "\(task.input.count)")],
                    startedAt: now, finishedAt: now)
                results.append(
                    ProducerRecord(
                        topic: Topics.agentResults, partition: record.topicPartition.partition, key: record.key,
                        value: try cluster.codec.encode(result)))
            }
            for result in await producer.send(results) { _ = try result.get() }
        }
        await intake.close()
        await producer.close(timeout: .seconds(5))
        await consumer.close()
    }
}
