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
