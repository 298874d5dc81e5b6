import OrchestraCore

/// A topic that exists.
final class Topic {
    let id: Int64
    let name: String
    let topicID: TopicID
    var configuration: TopicConfiguration
    var partitions: [PartitionLog]

    init(id: Int64, name: String, topicID: TopicID, configuration: TopicConfiguration, partitions: [PartitionLog]) {
        self.id = id
        self.name = name
        self.topicID = topicID
        self.configuration = configuration
        self.partitions = partitions
    }
}

/// All topics, by name and by id.
struct TopicCatalog {
    private(set) var byName: [String: Topic] = [:]
    private(set) var byID: [TopicID: Topic] = [:]
    private var byPartitionID: [Int64: (topic: Topic, log: PartitionLog)] = [:]
    var partitionCount: Int { byPartitionID.count }
    private var nextTopicRowID: Int64
    private var nextPartitionRowID: Int64

    init(_ state: LoadedState) throws {
        nextTopicRowID = state.nextTopicRowID
        nextPartitionRowID = state.nextPartitionRowID
        for stored in state.topics {
            let configuration: TopicConfiguration
            do {
                configuration = try TopicConfiguration(stored.configuration)
            } catch {
                throw OrchestraError(
                    .quarantined, "topic \(stored.name) is stored with a bad setting: \(error.message)")
            }
            let logs = stored.partitions.map { partition in
                PartitionLog(
                    partition, topicName: stored.name,
                    ledger: ProducerLedger(
                        producers: state.producers[partition.id] ?? [], aborted: state.aborted[partition.id] ?? []))
            }
            insert(
                Topic(
                    id: stored.id, name: stored.name, topicID: stored.topicID, configuration: configuration,
                    partitions: logs))
        }
    }

    func log(_ topic: String, _ partition: Int32) -> PartitionLog? {
        guard let logs = byName[topic]?.partitions, partition >= 0, Int(partition) < logs.count else { return nil }
        return logs[Int(partition)]
    }

    func find(partitionID: Int64) -> (topic: Topic, log: PartitionLog)? { byPartitionID[partitionID] }

    func exists(_ partition: TopicPartition) -> Bool { log(partition.topic, partition.partition) != nil }

    /// Makes a topic.
    ///
    /// - Returns: the row to store.
    mutating func create(
        name: String, partitionCount: Int32, configuration: TopicConfiguration, topicID: TopicID
    ) -> StoredTopic {
        let id = nextTopicRowID
        nextTopicRowID += 1
        let rows = makePartitions(topicID: id, numbers: 0..<partitionCount)
        insert(
            Topic(
                id: id, name: name, topicID: topicID, configuration: configuration,
                partitions: rows.map { PartitionLog($0, topicName: name) }))
        return StoredTopic(
            id: id, name: name, topicID: topicID, configuration: configuration.values, partitions: rows)
    }

    /// Adds partitions up to `count`.
    ///
    /// - Returns: the rows to store.
    mutating func grow(_ topic: Topic, to count: Int32) -> [StoredPartition] {
        let rows = makePartitions(topicID: topic.id, numbers: Int32(topic.partitions.count)..<count)
        let logs = rows.map { PartitionLog($0, topicName: topic.name) }
        topic.partitions += logs
        for log in logs { byPartitionID[log.id] = (topic, log) }
        return rows
    }

    mutating func remove(_ topic: Topic) {
        byName[topic.name] = nil
        byID[topic.topicID] = nil
        for log in topic.partitions { byPartitionID[log.id] = nil }
    }

    private mutating func insert(_ topic: Topic) {
        byName[topic.name] = topic
        byID[topic.topicID] = topic
        for log in topic.partitions { byPartitionID[log.id] = (topic, log) }
    }

    private mutating func makePartitions(topicID: Int64, numbers: Range<Int32>) -> [StoredPartition] {
        let first = nextPartitionRowID
        nextPartitionRowID += Int64(numbers.count)
        return numbers.enumerated().map { index, number in
            StoredPartition(id: first + Int64(index), topicID: topicID, number: number)
        }
    }
}
