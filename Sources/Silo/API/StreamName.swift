public import Avro
import OrchestraCore
public import Records

/// What can be sent over a stream: a record generated from an Avro schema.
public typealias StreamRecord = AvroRecord

/// A Kafka topic typed by the Avro record that it carries.
///
/// Declare your own next to the record:
/// ```swift
/// extension StreamName where Event == OrderPlaced {
///     static var ordersPlaced: StreamName<OrderPlaced> { StreamName(topic: "orders-placed") }
/// }
/// ```
/// The topic has as many partitions as the cluster; records are keyed by the key of the grain that they concern.
public struct StreamName<Event: StreamRecord>: Sendable, Hashable {
    /// The topic's name.
    public let topic: String

    /// - Parameter topic: 1 to 249 of the characters `A-Z a-z 0-9 . _ -`, Kafka's rule; checked when the silo starts.
    public init(topic: String) {
        self.topic = topic
    }
}

extension StreamName where Event == WorkflowStartEvent {
    /// Accepted triggers, keyed by workflow id.
    public static var workflowStartEvents: StreamName<WorkflowStartEvent> {
        StreamName(topic: Topics.workflowStartEvents)
    }
}

extension StreamName where Event == AgentTask {
    /// Work for agents, keyed by workflow id.
    public static var agentTasks: StreamName<AgentTask> { StreamName(topic: Topics.agentTasks) }
}

extension StreamName where Event == AgentResult {
    /// What agents made of their tasks, keyed by workflow id.
    public static var agentResults: StreamName<AgentResult> { StreamName(topic: Topics.agentResults) }
}
