package import EventLog
import OrchestraCore

/// Spreads tasks over the partitions of their topic, a few of one transaction to each; a value, without I/O.
///
/// Agents compete for tasks and do them in any order, so a task need not be where its key would put it. Were it there,
/// the tasks of one transaction would go to nearly as many partitions, and each of these costs a request, a write at the
/// broker, and a marker at the end of the transaction. In turns, agents also get more even shares than keys would give.
package struct TaskSpread: Sendable {
    /// How many tasks of one transaction go to one partition: less than an agent worker does at once by default, so
    /// that what is begun together is not done one after the other.
    package static let runLength = 4

    private let topic: String
    private var rotation: PartitionRotation

    /// - Parameters:
    ///   - topic: the topic whose records are spread; others stay where they are.
    ///   - partitionCount: how many partitions it has.
    package init(topic: String, partitionCount: Int32) {
        self.topic = topic
        rotation = PartitionRotation(count: partitionCount)
    }

    /// Chooses the partitions of a transaction's tasks.
    package mutating func place(_ records: inout [ProducerRecord]) {
        var placed = 0
        for index in records.indices where records[index].topic == topic {
            records[index].partition = rotation.current
            placed += 1
            if placed.isMultiple(of: TaskSpread.runLength) { rotation.advance() }
        }
        if !placed.isMultiple(of: TaskSpread.runLength) { rotation.advance() }
    }
}
