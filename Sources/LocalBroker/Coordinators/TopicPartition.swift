/// One partition of one topic.
struct TopicPartition: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    var topic: String
    var partition: Int32

    static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }

    var description: String { "\(topic)-\(partition)" }
}

/// The answer of a coordinator and what its shell must do for it.
///
/// The shell makes the directives durable in one SQLite transaction, in their order, and sends the answer only after
/// that transaction is on disk.
struct Decision<Answer: Sendable, Directive: Sendable>: Sendable {
    var answer: Answer
    var directives: [Directive]

    init(_ answer: Answer, _ directives: [Directive] = []) {
        self.answer = answer
        self.directives = directives
    }
}
