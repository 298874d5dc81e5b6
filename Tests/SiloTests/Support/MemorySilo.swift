import EventLog
import Logging
import OrchestraCore
import Silo
import Synchronization

/// All that a silo has of Kafka, over a ``MemoryLog``.
struct MemorySiloLog: SiloLog {
    let log: MemoryLog
    let nodeID: String
    let partitionCount: Int32
    /// Of the changelog's topic.
    var settings: [String: String] = [:]

    func create(_ topics: [TopicSpecification]) async throws(EventLogError) {}

    func partitionCounts(of topics: [String]) async throws(EventLogError) -> [String: Int32] {
        Dictionary(uniqueKeysWithValues: topics.map { ($0, $0 == Topics.silos ? 1 : partitionCount) })
    }

    func configuration(of topic: String, _ names: Set<String>) async throws(EventLogError) -> [String: String] {
        settings.filter { names.contains($0.key) }
    }

    func makeProducer(_ transactionalID: String) throws(EventLogError) -> any TransactionSink {
        log.makeProducer(transactionalID)
    }

    func openHeartbeats() async throws(EventLogError) -> any IntakeSource {
        log.reader(of: TopicPartition(topic: Topics.silos, partition: 0))
    }

    func commitOffsets(_ offsets: [TopicPartition: Int64]) async throws(EventLogError) {}

    func partition(_ partition: Int32, lane: TransactionLane) -> any PartitionLog {
        log.view(of: partition, as: nodeID, lane: lane)
    }

    func close() async {}
}

/// Calls of silos reach nobody.
struct NoNetwork: SiloNetwork {
    func send(_ request: GrainCallRequest, to silo: String) async throws(OrchestraError) -> GrainCallReply {
        throw OrchestraError(.unavailable, "\(silo) cannot be reached")
    }
}

extension Silo {
    /// A silo over a log in memory.
    static func inMemory(
        _ log: MemoryLog, codec: TestCodec = TestCodec(), generation: Int64 = 1, partitionCount: Int32 = 1,
        grains: [any Grain.Type] = [Counter.self],
        network: (any SiloNetwork)? = nil, settings: [String: String] = [:], logger: Logger? = nil,
        _ configure: (inout SiloConfiguration) -> Void = { _ in }
    ) throws -> Silo {
        var configuration = SiloConfiguration(
            nodeID: "silo-1", generation: generation,
            kafka: KafkaConfiguration(bootstrapServers: "nowhere:1", clientID: "test"))
        configuration.partitionCount = partitionCount
        configuration.heartbeatInterval = .milliseconds(100)
        configure(&configuration)
        return try Silo(
            configuration, grains: grains, coding: codec, network: network,
            logger: logger ?? Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            connect: {
                MemorySiloLog(log: log, nodeID: "silo-1", partitionCount: partitionCount, settings: settings)
            })
    }

    /// Runs while `body` does.
    func serve(_ body: () async throws -> Void) async throws {
        let isOver = Locked(false)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // More than one task of the silo waits for its end.
                try await self.run(until: {
                    while !isOver.value { try await Task.sleep(for: .milliseconds(2)) }
                })
            }
            defer { isOver.use { $0 = true } }
            try await body()
            isOver.use { $0 = true }
            try await group.waitForAll()
        }
    }
}

/// What has been logged.
final class LogRecorder: Sendable {
    private let messages = Mutex<[String]>([])

    /// How often a message has been logged.
    func count(of message: String) -> Int { messages.withLock { $0.count { $0 == message } } }

    var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { recorder.messages.withLock { $0.append("\(event.message)") } }
    }
}
