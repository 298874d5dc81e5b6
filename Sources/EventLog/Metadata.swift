internal import CRdKafka

/// Questions about topics. They block; only a client's own thread asks them.
enum Metadata {
    /// How many partitions a topic has.
    ///
    /// - Returns: `nil` if the topic does not exist.
    /// - Throws: ``EventLogError``: `timedOut`, `retriable`, `fatal`.
    static func partitionCount(
        of topic: String, _ handle: OpaquePointer, _ client: ClientHandle, timeoutMilliseconds: Int32
    ) throws(EventLogError) -> Int32? {
        guard let native = rd_kafka_topic_new(handle, topic, nil) else {
            throw EventLogError(rd_kafka_last_error(), "the topic \"\(topic)\"", on: client)
        }
        defer { rd_kafka_topic_destroy(native) }
        let counts = try counts(handle, client, only: native, timeoutMilliseconds: timeoutMilliseconds)
        return counts[topic]
    }

    /// The partition counts of all topics of the cluster.
    static func allPartitionCounts(
        _ handle: OpaquePointer, _ client: ClientHandle, timeoutMilliseconds: Int32
    ) throws(EventLogError) -> [String: Int32] {
        try counts(handle, client, only: nil, timeoutMilliseconds: timeoutMilliseconds)
    }

    private static func counts(
        _ handle: OpaquePointer, _ client: ClientHandle, only topic: OpaquePointer?, timeoutMilliseconds: Int32
    ) throws(EventLogError) -> [String: Int32] {
        var answer: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(handle, topic == nil ? 1 : 0, topic, &answer, timeoutMilliseconds)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else {
            throw EventLogError(code, "asking for the topics of the cluster", on: client)
        }
        defer { rd_kafka_metadata_destroy(answer) }
        var counts: [String: Int32] = [:]
        for topic in UnsafeBufferPointer(start: answer.pointee.topics, count: Int(answer.pointee.topic_cnt)) {
            switch EventLogError.kind(of: topic.err) {
            case _ where topic.err == RD_KAFKA_RESP_ERR_NO_ERROR || topic.partition_cnt > 0:
                counts[String(cString: topic.topic)] = topic.partition_cnt
            case .unknownTopic: continue
            default: throw EventLogError(topic.err, "the topic \(String(cString: topic.topic))", on: client)
            }
        }
        return counts
    }
}
