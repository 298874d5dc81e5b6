import EventLog
import Testing

@testable import Silo

@Suite struct TaskSpreadTests {
    private func records(_ count: Int, topic: String = "tasks") -> [ProducerRecord] {
        (0..<count).map { ProducerRecord(topic: topic, partition: 99, key: [UInt8($0 % 256)], value: []) }
    }

    /// The partitions of the tasks of one transaction after the other.
    private func partitions(_ sizes: [Int], of count: Int32) -> [[Int32]] {
        var spread = TaskSpread(topic: "tasks", partitionCount: count)
        return sizes.map { size in
            var batch = records(size)
            spread.place(&batch)
            return batch.map(\.partition)
        }
    }

    @Test func fewTasksOfATransactionGoTogether() {
        let parts = partitions([1, TaskSpread.runLength, TaskSpread.runLength + 1, 3], of: 16)
        #expect(parts.map { Set($0).count } == [1, 1, 2, 1])
    }

    @Test func noTwoTransactionsInARowUseOnePartition() {
        let parts = partitions([1, TaskSpread.runLength, 1, 2 * TaskSpread.runLength, 1], of: 16).flatMap { $0 }
        #expect(Set(parts).count == 6)
    }

    @Test func otherRecordsStayWhereTheyAre() {
        var spread = TaskSpread(topic: "tasks", partitionCount: 16)
        var batch = records(3, topic: "state") + records(9) + records(2, topic: "task")
        spread.place(&batch)
        #expect(batch.map(\.key) == (records(3) + records(9) + records(2)).map(\.key))
        #expect(batch.filter { $0.topic != "tasks" }.allSatisfy { $0.partition == 99 })
        #expect(batch.filter { $0.topic == "tasks" }.allSatisfy { (0..<16).contains($0.partition) })
    }
}
