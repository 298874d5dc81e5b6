internal import CRdKafka
package import Logging
internal import OrchestraCore

/// A topic to be created.
package struct TopicSpecification: Sendable, Hashable {
    package var name: String
    package var partitions: Int32
    /// -1 is the broker's default.
    package var replicationFactor: Int16
    /// Kafka's topic configuration, such as `cleanup.policy`.
    package var configuration: [String: String]

    package init(
        name: String, partitions: Int32, replicationFactor: Int16 = 1, configuration: [String: String] = [:]
    ) {
        self.name = name
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.configuration = configuration
    }
}

/// Creates topics and asks about them.
package final class Admin: Sendable {
    private let client: ClientHandle

    /// - Throws: ``EventLogError`` with `badConfiguration`.
    package init(_ configuration: KafkaConfiguration, logger: Logger) throws(EventLogError) {
        // A consumer, because a producer's questions about a topic may create it.
        let properties = ClientConfiguration(
            configuration, role: .consumer, defaults: ["statistics.interval.ms": "0"],
            fixed: ["allow.auto.create.topics": "false", "isolation.level": "read_uncommitted"])
        client = try ClientHandle(properties, name: "\(configuration.clientID)/admin", logger: logger)
    }

    deinit {
        client.beginClosing()
    }

    /// Creates topics and waits until the cluster shows them with all partitions. One that exists already is left as
    /// it is, with whatever partitions and configuration it has.
    ///
    /// - Throws: ``EventLogError``: `badConfiguration` if the broker refuses a specification (the message has its
    ///   words); `timedOut`, `retriable`, `fatal`, `closed`.
    package func create(_ topics: [TopicSpecification], timeout: Duration) async throws(EventLogError) {
        guard !topics.isEmpty else { return }
        let deadline = ContinuousClock.now + timeout
        try await client.run { [client] handle in
            Result { () throws(EventLogError) in
                let request = try CreateTopicsRequest(topics, client: client, handle: handle)
                try request.perform(deadline: deadline)
            }
        }
        try await client.run { [client] handle in
            Result { () throws(EventLogError) in
                var missing = Set(topics.map(\.name))
                var pause: Int32 = 10
                while true {
                    let counts = try Metadata.allPartitionCounts(
                        handle, client, timeoutMilliseconds: Admin.milliseconds(until: deadline))
                    missing.subtract(counts.keys)
                    if missing.isEmpty { return }
                    guard ContinuousClock.now < deadline else {
                        throw EventLogError(
                            RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting for the new topics \(missing.sorted())", on: client)
                    }
                    // The wait before the next question, spent serving callbacks.
                    rd_kafka_poll(handle, pause)
                    pause = min(pause * 2, 200)
                }
            }
        }
    }

    /// How many partitions topics have.
    ///
    /// - Returns: the counts; a topic that does not exist is absent.
    /// - Throws: ``EventLogError``: `timedOut`, `retriable`, `fatal`, `closed`.
    package func partitionCounts(
        of topics: [String], timeout: Duration
    ) async throws(EventLogError) -> [String: Int32] {
        let deadline = ContinuousClock.now + timeout
        return try await client.run { [client] handle in
            Result { () throws(EventLogError) in
                let wanted = Set(topics)
                return try Metadata.allPartitionCounts(
                    handle, client, timeoutMilliseconds: Admin.milliseconds(until: deadline)
                ).filter { wanted.contains($0.key) }
            }
        }
    }

    /// The oldest offset of a partition and the one after its newest record, committed or not.
    ///
    /// - Throws: ``EventLogError``: `unknownTopic`, `timedOut`, `retriable`, `fatal`, `closed`.
    package func watermarks(
        of partition: TopicPartition, timeout: Duration
    ) async throws(EventLogError) -> (low: Int64, high: Int64) {
        let deadline = ContinuousClock.now + timeout
        let range = try await client.run { [client] handle -> Result<[Int64], EventLogError> in
            var low: Int64 = 0
            var high: Int64 = 0
            let code = rd_kafka_query_watermark_offsets(
                handle, partition.topic, partition.partition, &low, &high, Admin.milliseconds(until: deadline))
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                return .failure(EventLogError(code, "asking for the offsets of \(partition)", on: client))
            }
            return .success([low, high])
        }
        return (range[0], range[1])
    }

    /// What a topic is configured with, its own settings and the broker's defaults alike.
    ///
    /// - Parameter names: Kafka's names of the settings, such as `delete.retention.ms`.
    /// - Returns: the values of those that the broker knows.
    /// - Throws: ``EventLogError``: `unknownTopic`; `fatal` if this user may not ask; `timedOut`, `retriable`, `closed`.
    package func configuration(
        of topic: String, _ names: Set<String>, timeout: Duration
    ) async throws(EventLogError) -> [String: String] {
        let deadline = ContinuousClock.now + timeout
        return try await client.run { [client] handle in
            Result { () throws(EventLogError) in
                try DescribeTopicRequest(topic: topic, client: client, handle: handle)
                    .perform(deadline: deadline).filter { names.contains($0.key) }
            }
        }
    }

    /// Ends. Later calls fail with `closed`.
    package func close() async {
        await client.close()
    }

    fileprivate static func milliseconds(until deadline: ContinuousClock.Instant) -> Int32 {
        Int32(clamping: max(1, (deadline - .now).wholeMilliseconds))
    }
}

/// Sends one request and waits for its answer, on the client's thread.
///
/// - Parameters:
///   - send: sends it with these options, which end it in so many milliseconds, its answer to go to the queue.
///   - read: the answer's values.
private func ask<Answer>(
    _ operation: rd_kafka_admin_op_t, _ what: String, of client: ClientHandle, _ handle: OpaquePointer,
    deadline: ContinuousClock.Instant,
    send: (_ options: OpaquePointer?, _ timeoutMilliseconds: Int32, _ queue: OpaquePointer?) -> Void,
    read: (_ event: OpaquePointer) throws(EventLogError) -> Answer
) throws(EventLogError) -> Answer {
    let timeout = Admin.milliseconds(until: deadline)
    let options = rd_kafka_AdminOptions_new(handle, operation)
    defer { rd_kafka_AdminOptions_destroy(options) }
    _ = withErrorText { text, size in
        rd_kafka_AdminOptions_set_request_timeout(options, timeout, text, size)
    }
    let queue = rd_kafka_queue_new(handle)
    defer { rd_kafka_queue_destroy(queue) }
    send(options, timeout, queue)
    // The request ends by its own time-out; a little more than that is only a guard.
    guard let event = rd_kafka_queue_poll(queue, timeout &+ 1000) else {
        throw EventLogError(RD_KAFKA_RESP_ERR__TIMED_OUT, what, on: client)
    }
    defer { rd_kafka_event_destroy(event) }
    let code = rd_kafka_event_error(event)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
        let words = rd_kafka_event_error_string(event).map { String(cString: $0) }
        throw EventLogError(code, what, detail: words, on: client)
    }
    return try read(event)
}

/// One DescribeConfigs request, on the client's thread.
private struct DescribeTopicRequest {
    let topic: String
    let client: ClientHandle
    let handle: OpaquePointer

    func perform(deadline: ContinuousClock.Instant) throws(EventLogError) -> [String: String] {
        let what = "asking for the configuration of the topic \(topic)"
        guard let resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic) else {
            throw EventLogError(RD_KAFKA_RESP_ERR__INVALID_ARG, what, on: client)
        }
        defer { rd_kafka_ConfigResource_destroy(resource) }
        var resources: [OpaquePointer?] = [resource]
        return try ask(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, what, of: client, handle, deadline: deadline) {
            options, _, queue in
            rd_kafka_DescribeConfigs(handle, &resources, 1, options, queue)
        } read: { event throws(EventLogError) in
            try values(rd_kafka_event_DescribeConfigs_result(event), what)
        }
    }

    private func values(_ result: OpaquePointer?, _ what: String) throws(EventLogError) -> [String: String] {
        var count = 0
        guard let result, let resources = rd_kafka_DescribeConfigs_result_resources(result, &count), count == 1 else {
            throw EventLogError(RD_KAFKA_RESP_ERR__BAD_MSG, what, on: client)
        }
        let code = rd_kafka_ConfigResource_error(resources[0])
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            let words = rd_kafka_ConfigResource_error_string(resources[0]).map { String(cString: $0) }
            throw EventLogError(code, what, detail: words, on: client)
        }
        var values: [String: String] = [:]
        let entries = rd_kafka_ConfigResource_configs(resources[0], &count)
        for entry in UnsafeBufferPointer(start: entries, count: count) {
            guard let entry, let name = rd_kafka_ConfigEntry_name(entry), let value = rd_kafka_ConfigEntry_value(entry)
            else { continue }
            values[String(cString: name)] = String(cString: value)
        }
        return values
    }
}

/// One CreateTopics request, on the client's thread.
private final class CreateTopicsRequest {
    private let client: ClientHandle
    private let handle: OpaquePointer
    private var topics: [OpaquePointer?] = []

    init(_ specifications: [TopicSpecification], client: ClientHandle, handle: OpaquePointer) throws(EventLogError) {
        self.client = client
        self.handle = handle
        for topic in specifications {
            let (native, words) = withErrorText { text, size in
                rd_kafka_NewTopic_new(topic.name, topic.partitions, Int32(topic.replicationFactor), text, size)
            }
            guard let native else {
                throw EventLogError(
                    RD_KAFKA_RESP_ERR__INVALID_ARG, "the topic \"\(topic.name)\"", detail: words, on: client)
            }
            topics.append(native)
            for (name, value) in topic.configuration {
                let code = rd_kafka_NewTopic_set_config(native, name, value)
                guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                    throw EventLogError(code, "\(name)=\(value) of the topic \(topic.name)", on: client)
                }
            }
        }
    }

    deinit {
        for topic in topics { rd_kafka_NewTopic_destroy(topic) }
    }

    func perform(deadline: ContinuousClock.Instant) throws(EventLogError) {
        try ask(RD_KAFKA_ADMIN_OP_CREATETOPICS, "creating topics", of: client, handle, deadline: deadline) {
            options, timeout, queue in
            // How long the broker itself waits until the topics are known everywhere.
            _ = withErrorText { text, size in
                rd_kafka_AdminOptions_set_operation_timeout(options, timeout, text, size)
            }
            rd_kafka_CreateTopics(handle, &topics, topics.count, options, queue)
        } read: { event throws(EventLogError) in
            try check(rd_kafka_event_CreateTopics_result(event))
        }
    }

    private func check(_ result: OpaquePointer?) throws(EventLogError) {
        var count = 0
        guard let result, let answers = rd_kafka_CreateTopics_result_topics(result, &count) else { return }
        for answer in UnsafeBufferPointer(start: answers, count: count) {
            let code = rd_kafka_topic_result_error(answer)
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS else { continue }
            let name = rd_kafka_topic_result_name(answer).map { String(cString: $0) } ?? ""
            let words = rd_kafka_topic_result_error_string(answer).map { String(cString: $0) }
            throw EventLogError(code, "creating the topic \(name)", detail: words, on: client)
        }
    }
}
