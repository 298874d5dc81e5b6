import Avro
import EventLog
import Foundation
import HTTPClient
import LocalBroker
import LocalRegistry
import Logging
import OrchestraCore
import Records
import ServiceLifecycle
import Synchronization
import Testing

@testable import Agents

/// A broker and a registry for the worker's tests, with the topics that it uses; they can be stopped and started again.
final class WorkerCluster: Sendable {
    static let partitionCount: Int32 = 4

    let directory: URL
    let codec: RecordCodec
    let http: HTTPClient
    let logger: Logger
    private let producer: Producer
    private let ports: Mutex<(broker: Int, registry: Int)>
    private let services = Mutex<[Task<Void, any Error>]>([])

    private init(directory: URL, ports: (broker: Int, registry: Int), services: [Task<Void, any Error>], logger: Logger)
        throws
    {
        self.directory = directory
        self.logger = logger
        self.ports = Mutex(ports)
        self.services.withLock { $0 = services }
        http = HTTPClient()
        codec = RecordCodec(registry: SchemaRegistryClient(url: "http://127.0.0.1:\(ports.registry)", http: http))
        producer = try Producer(
            KafkaConfiguration(bootstrapServers: "127.0.0.1:\(ports.broker)", clientID: "test"), logger: logger)
    }

    /// Runs `body` with a fresh cluster.
    static func with(_ body: (WorkerCluster) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "agents-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (ports, services) = try await start(directory, ports: (0, 0), logger)
        let cluster = try WorkerCluster(directory: directory, ports: ports, services: services, logger: logger)
        do {
            try await cluster.prepare()
            try await body(cluster)
        } catch {
            await cluster.end()
            throw error
        }
        await cluster.end()
    }

    private static func start(
        _ directory: URL, ports: (broker: Int, registry: Int), _ logger: Logger
    ) async throws -> ((broker: Int, registry: Int), [Task<Void, any Error>]) {
        let broker = try LocalBroker(
            LocalBrokerConfiguration(dataDirectory: directory.path, port: ports.broker), logger: logger)
        let registry = try LocalRegistry(
            database: broker.database, host: "127.0.0.1", port: ports.registry, logger: logger)
        let services = [Task { try await broker.run() }, Task { try await registry.run() }]
        return ((try await broker.boundPort(), try await registry.boundPort()), services)
    }

    /// Takes broker and registry away.
    func stop() async {
        for service in services.withLock({ $0 }).reversed() {
            service.cancel()
            _ = await service.result
        }
    }

    /// Starts them again, at the same ports, on the same data.
    func startAgain() async throws {
        let (_, services) = try await Self.start(directory, ports: ports.withLock { $0 }, logger)
        self.services.withLock { $0 = services }
    }

    private func end() async {
        await producer.close(timeout: .seconds(1))
        await http.close()
        await stop()
    }

    var kafka: KafkaConfiguration {
        KafkaConfiguration(bootstrapServers: "127.0.0.1:\(ports.withLock { $0.broker })", clientID: "test")
    }

    private func prepare() async throws {
        try await codec.register(AgentTask.self, subject: "agent-tasks-value")
        let admin = try Admin(kafka, logger: logger)
        let topics = ["agent-tasks", "agent-results", "orchestra.dead-letters"].map {
            TopicSpecification(name: $0, partitions: Self.partitionCount, replicationFactor: 1, configuration: [:])
        }
        try await admin.create(topics, timeout: .seconds(10))
        await admin.close()
    }

    // MARK: Workers

    func configuration(_ nodeID: String = "agent-1", concurrency: Int = 8) -> AgentWorkerConfiguration {
        var kernel = Kernel(chatCompletion: LocalModel())
        for plugin in (try? EmbeddedPrompts.plugins()) ?? [] { kernel.add(plugin) }
        if let statistics = try? TextStatistics.plugin() { kernel.add(statistics) }
        var configuration = AgentWorkerConfiguration(
            nodeID: nodeID, kafka: kafka, kernel: kernel, concurrency: concurrency, sessionTimeout: .seconds(6))
        configuration.retries.firstDelay = .milliseconds(5)
        return configuration
    }

    /// Runs `body` while a worker works; then ends it gracefully.
    func withWorker(
        _ configuration: AgentWorkerConfiguration, _ agents: [Agent], _ body: (AgentWorker) async throws -> Void
    ) async throws {
        let worker = try AgentWorker(configuration, agents: agents, codec: codec, logger: logger)
        let group = ServiceGroup(
            configuration: .init(services: [.init(service: worker)], gracefulShutdownSignals: [], logger: logger))
        let running = Task { try await group.run() }
        do {
            try await eventually("the worker is ready") { worker.isReady }
            try await body(worker)
        } catch {
            await group.triggerGracefulShutdown()
            _ = await running.result
            throw error
        }
        await group.triggerGracefulShutdown()
        try await running.value
    }

    // MARK: Records

    func task(
        _ workflowID: String, agent: String = "test", input: String = "x", deadline: Duration = .seconds(60)
    ) -> AgentTask {
        AgentTask(
            taskId: "\(workflowID)/0", workflowId: workflowID, agent: agent, input: input, createdAt: .now,
            deadline: Timestamp.now.advanced(by: deadline))
    }

    func send(_ tasks: [AgentTask], partition fixed: Int32? = nil) async throws {
        var records: [ProducerRecord] = []
        for task in tasks {
            let key = Array(task.workflowId.utf8)
            records.append(
                ProducerRecord(
                    topic: "agent-tasks", partition: fixed ?? partition(forKey: key, count: Self.partitionCount),
                    key: key, value: try codec.encode(task)))
        }
        for outcome in await producer.send(records) { _ = try outcome.get() }
    }

    func sendRaw(key: [UInt8]?, value: [UInt8]?) async throws {
        _ = try await producer.send(ProducerRecord(topic: "agent-tasks", partition: 0, key: key, value: value))
    }

    /// All records of a topic from its beginning, read until `isEnough`.
    func read(
        _ topic: String, _ what: String, within limit: Duration = .seconds(60),
        until isEnough: @escaping @Sendable ([ConsumedRecord]) throws -> Bool
    ) async throws -> [ConsumedRecord] {
        let consumer = try PartitionConsumer(kafka, isolation: .readCommitted, logger: logger)
        let places = (0..<Self.partitionCount).map { TopicPartition(topic: topic, partition: $0) }
        let intake = try await consumer.open(Dictionary(uniqueKeysWithValues: places.map { ($0, .beginning) }))
        let found = Recorder<ConsumedRecord>()
        let isFound = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                while true {
                    for case .record(let record) in try await intake.next(maximumRecords: 500) { found.append(record) }
                    if try isEnough(found.values) { return true }
                }
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
        await intake.close()
        await consumer.close()
        #expect(isFound, "not within \(limit): \(what); there are \(found.values.count) records in \(topic)")
        return found.values
    }

    /// The first result of each workflow, once there are `count`.
    func results(_ count: Int, within limit: Duration = .seconds(60)) async throws -> [String: AgentResult] {
        let records = try await read("agent-results", "\(count) results", within: limit) { records in
            Set(records.map { String(decoding: $0.key ?? [], as: UTF8.self) }).count >= count
        }
        var results: [String: AgentResult] = [:]
        for record in records {
            let result = try await codec.decode(AgentResult.self, from: record.value ?? [])
            let key = Array(result.workflowId.utf8)
            #expect(record.key == key)
            #expect(record.topicPartition.partition == partition(forKey: key, count: Self.partitionCount))
            if results[result.workflowId] == nil { results[result.workflowId] = result }
        }
        return results
    }
}

func eventually(
    _ what: String, within limit: Duration = .seconds(30), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("not within \(limit): \(what)", sourceLocation: sourceLocation)
    throw CancellationError()
}
