import CRdKafka
import EventLog
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1)))
struct GroupConsumerTests {
    private func produce(_ cluster: MockCluster, _ count: Int, partitions: Int32) async throws {
        let producer = try Producer(cluster.configuration(), logger: quiet)
        let records = (0..<count).map { ProducerRecord.text("\($0)", to: "t", Int32($0) % partitions) }
        for result in await producer.send(records) { _ = try result.get() }
        await producer.close(timeout: .seconds(5))
    }

    private func member(_ cluster: MockCluster) throws -> GroupConsumer {
        try GroupConsumer(
            cluster.configuration(), groupID: "g", topics: ["t"], sessionTimeout: .seconds(6), logger: quiet)
    }

    @Test func aNewMemberGoesOnWhereTheLastOneCommitted() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        try await produce(cluster, 10, partitions: 1)
        let partition = TopicPartition(topic: "t", partition: 0)
        let first = try member(cluster)
        var read: [Int64] = []
        var assigned: [TopicPartition] = []
        while read.count < 10 {
            for event in try await first.next(maximumRecords: 4) {
                switch event {
                case .record(let record): read.append(record.offset)
                case .assigned(let partitions): assigned += partitions
                case .revoked, .lost: Issue.record("\(event)")
                }
            }
        }
        #expect(assigned == [partition])
        #expect(read == Array(0..<10))
        try await first.commit([partition: 7])
        await first.close()

        let second = try member(cluster)
        var again: [Int64] = []
        while again.count < 3 {
            for case .record(let record) in try await second.next(maximumRecords: 100) { again.append(record.offset) }
        }
        #expect(again == [7, 8, 9])
        await second.close()
    }

    @Test func cancellingAndClosingWakeTheReader() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let consumer = try member(cluster)
        let reader = Task { while true { _ = try await consumer.next(maximumRecords: 1) } }
        reader.cancel()
        let error = await #expect(throws: EventLogError.self) { try await reader.value }
        #expect(error?.kind == .closed)
        let other = Task { while true { _ = try await consumer.next(maximumRecords: 1) } }
        await consumer.close()
        let closed = await #expect(throws: EventLogError.self) { try await other.value }
        #expect(closed?.kind == .closed)
        let commit = await #expect(throws: EventLogError.self) {
            try await consumer.commit([TopicPartition(topic: "t", partition: 0): 1])
        }
        #expect(commit?.kind == .closed)
    }

    @Test func aPausedPartitionIsStillAndLosesNothing() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 2)
        let consumer = try member(cluster)
        var assigned: [TopicPartition] = []
        while assigned.isEmpty {
            for case .assigned(let partitions) in try await consumer.next(maximumRecords: 1) { assigned = partitions }
        }
        let paused = TopicPartition(topic: "t", partition: 0)
        try await produce(cluster, 100, partitions: 2)
        var read: [Int32: [Int64]] = [0: [], 1: []]
        while read[0, default: []].count < 10 {
            for case .record(let record) in try await consumer.next(maximumRecords: 5) {
                read[record.topicPartition.partition, default: []].append(record.offset)
            }
        }
        consumer.pause([paused])
        while read[1, default: []].count < 50 {
            for case .record(let record) in try await consumer.next(maximumRecords: 5) {
                read[record.topicPartition.partition, default: []].append(record.offset)
            }
        }
        consumer.resume([paused])
        while read[0, default: []].count < 50 {
            for case .record(let record) in try await consumer.next(maximumRecords: 5) {
                read[record.topicPartition.partition, default: []].append(record.offset)
            }
        }
        #expect(read == [0: Array(0..<50), 1: Array(0..<50)])
        await consumer.close()
    }
}
