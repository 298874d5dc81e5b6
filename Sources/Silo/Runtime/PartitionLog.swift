package import EventLog
import Logging
import OrchestraCore

/// What a partition needs of Kafka. ``KafkaPartitionLog`` is the real one; tests bring a log in memory that aborts,
/// fences and loses on purpose.
package protocol PartitionLog: Sendable {
    /// What the partition commits through. It does nothing until it is initialised.
    func makeTransactions() throws(EventLogError) -> any TransactionSink
    /// Reads the partition's changelog.
    func openChangelog(at start: StartOffset) async throws(EventLogError) -> any IntakeSource
    /// Reads the partition of the input topics, from these offsets.
    func openInputs(at offsets: [String: Int64]) async throws(EventLogError) -> any IntakeSource
    /// The first and the next offset of the partition of a topic.
    func watermarks(of topic: String) async throws(EventLogError) -> (low: Int64, high: Int64)
}

/// A transactional producer; see `EventLog.TransactionalProducer` for the meaning of the errors.
package protocol TransactionSink: Sendable {
    /// Fences every earlier producer with the same transactional id.
    func initialize(timeout: Duration) async throws(EventLogError)
    func commit(_ batch: TransactionBatch) async throws(EventLogError)
    func close() async
}

/// A bounded stream of records and ends of partitions; see `EventLog.Intake`.
package protocol IntakeSource: Sendable {
    func next(maximumRecords: Int) async throws(EventLogError) -> [IntakeEvent]
    func close() async
}

extension Intake: IntakeSource {}

/// What a silo needs of Kafka. ``KafkaSiloLog`` is the real one; the simulation brings a model.
package protocol SiloLog: Sendable {
    /// Creates the topics that do not exist.
    func create(_ topics: [TopicSpecification]) async throws(EventLogError)
    func partitionCounts(of topics: [String]) async throws(EventLogError) -> [String: Int32]
    /// The values of some of a topic's settings, as far as the broker knows them.
    func configuration(of topic: String, _ names: Set<String>) async throws(EventLogError) -> [String: String]
    /// Makes a producer; nothing is fenced before it is initialised.
    func makeProducer(_ transactionalID: String) throws(EventLogError) -> any TransactionSink
    /// Reads the heartbeats of all silos from the beginning; uncommitted records too: a heartbeat that was aborted is a
    /// sign of life all the same, and the open transaction of a silo that hangs must not hide the others.
    func openHeartbeats() async throws(EventLogError) -> any IntakeSource
    /// Tells the silos' consumer group how far partitions have been read.
    func commitOffsets(_ offsets: [TopicPartition: Int64]) async throws(EventLogError)
    /// - Parameter lane: what the partition commits through.
    func partition(_ partition: Int32, lane: TransactionLane) -> any PartitionLog
    func close() async
}

/// Kafka, by clients that all partitions of a silo share.
struct KafkaSiloLog: SiloLog {
    private let configuration: SiloConfiguration
    private let logger: Logger
    private let admin: Admin
    private let inputs: PartitionConsumer
    private let changelogs: PartitionConsumer
    private let heartbeats: PartitionConsumer
    private let groupOffsets: GroupOffsetWriter

    init(_ configuration: SiloConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        admin = try Admin(configuration.kafka, logger: logger)
        inputs = try PartitionConsumer(configuration.kafka, isolation: .readCommitted, logger: logger)
        changelogs = try PartitionConsumer(configuration.kafka, isolation: .readCommitted, logger: logger)
        heartbeats = try PartitionConsumer(configuration.kafka, isolation: .readUncommitted, logger: logger)
        groupOffsets = try GroupOffsetWriter(configuration.kafka, groupID: configuration.groupID, logger: logger)
    }

    func create(_ topics: [TopicSpecification]) async throws(EventLogError) {
        try await admin.create(topics, timeout: .seconds(30))
    }

    func partitionCounts(of topics: [String]) async throws(EventLogError) -> [String: Int32] {
        try await admin.partitionCounts(of: topics, timeout: .seconds(30))
    }

    func configuration(of topic: String, _ names: Set<String>) async throws(EventLogError) -> [String: String] {
        try await admin.configuration(of: topic, names, timeout: .seconds(30))
    }

    func makeProducer(_ transactionalID: String) throws(EventLogError) -> any TransactionSink {
        KafkaTransactions(
            producer: try TransactionalProducer(
                configuration.kafka, transactionalID: transactionalID,
                transactionTimeout: configuration.transactionTimeout, logger: logger))
    }

    func openHeartbeats() async throws(EventLogError) -> any IntakeSource {
        try await heartbeats.open([TopicPartition(topic: Topics.silos, partition: 0): .beginning])
    }

    func commitOffsets(_ offsets: [TopicPartition: Int64]) async throws(EventLogError) {
        try await groupOffsets.commit(offsets, timeout: .seconds(3))
    }

    func partition(_ partition: Int32, lane: TransactionLane) -> any PartitionLog {
        KafkaPartitionLog(
            partition: partition, lane: lane, inputs: inputs, changelogs: changelogs, admin: admin)
    }

    func close() async {
        await groupOffsets.close()
        await heartbeats.close()
        await inputs.close()
        await changelogs.close()
        await admin.close()
    }
}

private struct KafkaTransactions: TransactionSink {
    let producer: TransactionalProducer

    func initialize(timeout: Duration) async throws(EventLogError) { try await producer.initialize(timeout: timeout) }
    func commit(_ batch: TransactionBatch) async throws(EventLogError) { try await producer.commit(batch.records) }
    func close() async { await producer.close() }
}

private struct KafkaPartitionLog: PartitionLog {
    let partition: Int32
    let lane: TransactionLane
    let inputs: PartitionConsumer
    let changelogs: PartitionConsumer
    let admin: Admin

    func makeTransactions() throws(EventLogError) -> any TransactionSink {
        lane.makeSink()
    }

    func openChangelog(at start: StartOffset) async throws(EventLogError) -> any IntakeSource {
        try await changelogs.open([TopicPartition(topic: Topics.state, partition: partition): start])
    }

    func openInputs(at offsets: [String: Int64]) async throws(EventLogError) -> any IntakeSource {
        var starts: [TopicPartition: StartOffset] = [:]
        for (topic, offset) in offsets {
            starts[TopicPartition(topic: topic, partition: partition)] = .offset(offset)
        }
        return try await inputs.open(starts)
    }

    func watermarks(of topic: String) async throws(EventLogError) -> (low: Int64, high: Int64) {
        try await admin.watermarks(
            of: TopicPartition(topic: topic, partition: partition), timeout: .seconds(10))
    }
}
