package import EventLog
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

extension TransactionalProducer: TransactionSink {}
extension Intake: IntakeSource {}

/// A partition in Kafka. Producer, consumers and the admin client are shared by all partitions of a silo.
struct KafkaPartitionLog: PartitionLog {
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
