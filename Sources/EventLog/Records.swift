package import OrchestraCore

/// One partition of one topic. Ordered by topic, then by partition.
package struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var topic: String
    package var partition: Int32

    package init(topic: String, partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package var description: String { "\(topic)[\(partition)]" }

    package static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }
}

/// A header of a record. Names need not be unique; their order is kept.
package struct RecordHeader: Hashable, Sendable {
    package var name: String
    package var value: [UInt8]?

    package init(name: String, value: [UInt8]?) {
        self.name = name
        self.value = value
    }
}

/// A record as it was read.
package struct ConsumedRecord: Sendable, Hashable {
    package var topicPartition: TopicPartition
    package var offset: Int64
    /// When it was produced (or appended, by the topic's configuration); 0 if the broker does not say.
    package var timestamp: Timestamp
    package var key: [UInt8]?
    /// `nil` is a tombstone: the key is deleted.
    package var value: [UInt8]?
    package var headers: [RecordHeader]

    package init(
        topicPartition: TopicPartition, offset: Int64, timestamp: Timestamp, key: [UInt8]?, value: [UInt8]?,
        headers: [RecordHeader] = []
    ) {
        self.topicPartition = topicPartition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// A record to be written.
package struct ProducerRecord: Sendable, Hashable, CustomStringConvertible {
    package var topic: String
    /// Always explicit: librdkafka's default partitioner is not Kafka's. See `OrchestraCore.partition(forKey:count:)`.
    package var partition: Int32
    package var key: [UInt8]?
    /// `nil` writes a tombstone, which deletes the key in a compacted topic.
    package var value: [UInt8]?
    package var headers: [RecordHeader]

    package init(
        topic: String, partition: Int32, key: [UInt8]?, value: [UInt8]?, headers: [RecordHeader] = []
    ) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
    }

    /// Its size and destination, for messages.
    package var description: String { "a record of \(value?.count ?? 0) bytes for \(topic)[\(partition)]" }
}
