internal import CRdKafka

/// Lends a list of partitions in librdkafka's form; it is destroyed when `body` returns.
enum PartitionList {
    typealias Native = UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    static func with<Outcome>(_ offsets: [TopicPartition: Int64], _ body: (Native) -> Outcome) -> Outcome {
        let list: Native = rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count))
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for (partition, offset) in offsets {
            rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset
        }
        return body(list)
    }

    static func with<Outcome>(_ partitions: [TopicPartition], _ body: (Native) -> Outcome) -> Outcome {
        let list: Native = rd_kafka_topic_partition_list_new(Int32(clamping: partitions.count))
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for partition in partitions {
            rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition)
        }
        return body(list)
    }

    static func elements(
        of list: UnsafePointer<rd_kafka_topic_partition_list_t>
    ) -> UnsafeBufferPointer<rd_kafka_topic_partition_t> {
        UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
    }
}

extension TopicPartition {
    init(_ native: rd_kafka_topic_partition_t) {
        self.init(topic: String(cString: native.topic), partition: native.partition)
    }
}
