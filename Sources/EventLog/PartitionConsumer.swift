internal import CRdKafka
package import Logging
internal import OrchestraCore
internal import Synchronization

/// Where to begin reading a partition.
package enum StartOffset: Sendable, Hashable {
    /// At the oldest record that is still there.
    case beginning
    /// After the newest record.
    case end
    /// At this offset; `offsetOutOfRange` if it is not there.
    case offset(Int64)

    fileprivate var native: Int64 {
        switch self {
        case .beginning: Int64(RD_KAFKA_OFFSET_BEGINNING)
        case .end: Int64(RD_KAFKA_OFFSET_END)
        case .offset(let offset): offset
        }
    }
}

/// Which records a consumer sees.
package enum Isolation: Sendable, Hashable {
    /// Only committed ones, and only up to the first transaction that is still open.
    case readCommitted
    /// All, also those of open and aborted transactions.
    case readUncommitted
}

/// Reads partitions that its user picks, through one connection: no consumer group, no committed offsets.
///
/// Each ``open(_:)`` gives a stream of its own with its own bound, so a slow reader of one stream holds back neither
/// the others nor grows: librdkafka stops fetching for a full stream.
package final class PartitionConsumer: Sendable {
    private let client: ClientHandle
    private let assignment: Assignment
    private let makePacer: @Sendable () -> FetchPacer
    private let nudge: FetchNudge

    /// Starts a consumer; it connects by itself.
    ///
    /// - Throws: ``EventLogError`` with `badConfiguration`.
    package init(
        _ configuration: KafkaConfiguration, isolation: Isolation, logger: Logger
    ) throws(EventLogError) {
        var fixed = ClientConfiguration.consumerFixed
        // librdkafka wants a group for manual assignment too. Nothing is ever committed for this one.
        fixed["group.id"] = "\(configuration.clientID).partitions"
        fixed["isolation.level"] = isolation == .readCommitted ? "read_committed" : "read_uncommitted"
        fixed["enable.partition.eof"] = "true"
        fixed["auto.offset.reset"] = "error"
        var properties = ClientConfiguration(
            configuration, role: .consumer, defaults: ClientConfiguration.consumerDefaults, fixed: fixed)
        properties.events = RD_KAFKA_EVENT_ERROR
        let settled = properties
        makePacer = { settled.makePacer() }
        nudge = FetchNudge(properties)
        let client = try ClientHandle(properties, name: "\(configuration.clientID)/consumer", logger: logger)
        self.client = client
        assignment = Assignment(client: client)
        client.enqueue { handle in
            // What concerns the client as a whole arrives in a queue that nobody here reads: let the client's thread
            // serve it (errors go to the log).
            let group = rd_kafka_queue_get_consumer(handle)
            let main = rd_kafka_queue_get_main(handle)
            rd_kafka_queue_forward(group, main)
            rd_kafka_queue_destroy(main)
            rd_kafka_queue_destroy(group)
        }
    }

    deinit {
        client.beginClosing(finally: { [assignment] _ in assignment.releaseAll() })
    }

    /// Begins to read partitions as one stream. Records of one partition come in order; partitions are mixed.
    ///
    /// - Parameter starts: the partitions, none of which may be open already, and where to begin.
    /// - Returns: the stream; close it to stop reading.
    /// - Throws: ``EventLogError``: `unknownTopic` if a topic or partition does not exist; `retriable` if one is still
    ///   open; `timedOut` if no broker answers within 10 s; `fatal`; `closed`.
    package func open(_ starts: [TopicPartition: StartOffset]) async throws(EventLogError) -> Intake {
        let stream = try await client.run { [assignment] in assignment.open($0, starts.mapValues(\.native)) }
        return Intake(client: client, assignment: assignment, stream: stream, pacer: makePacer(), nudge: nudge)
    }

    /// Closes all streams (their readers get `closed`), and ends.
    package func close() async {
        await client.close(finally: { [assignment] _ in assignment.releaseAll() })
    }
}

/// One stream: its queue, and the queues of its partitions that are forwarded to it.
final class PartitionStream: Sendable {
    let queue: WakingQueue
    let partitions: [TopicPartition]
    fileprivate let partitionQueues: [NativePointer]

    fileprivate init(queue: WakingQueue, partitions: [TopicPartition], partitionQueues: [NativePointer]) {
        self.queue = queue
        self.partitions = partitions
        self.partitionQueues = partitionQueues
    }
}

/// Which partitions of a client are open, in which streams. Everything runs on the client's thread.
final class Assignment: Sendable {
    private struct State {
        var streams: [ObjectIdentifier: PartitionStream] = [:]
        var open: Set<TopicPartition> = []
        /// The partition counts seen so far; they only grow.
        var counts: [String: Int32] = [:]
    }

    /// How long to wait for the cluster's answer when a topic is opened for the first time.
    private static let metadataTimeoutMilliseconds: Int32 = 10_000

    private let client: ClientHandle
    private let state = Mutex(State())

    init(client: ClientHandle) {
        self.client = client
    }

    func open(_ handle: OpaquePointer, _ starts: [TopicPartition: Int64]) -> Result<PartitionStream, EventLogError> {
        do throws(EventLogError) {
            try check(handle, starts.keys.sorted())
        } catch {
            return .failure(error)
        }
        let partitions = starts.keys.sorted()
        let native: OpaquePointer = rd_kafka_queue_new(handle)
        let partitionQueues = partitions.compactMap { partition in
            rd_kafka_queue_get_partition(handle, partition.topic, partition.partition).map { NativePointer(raw: $0) }
        }
        // Before the assignment, which respects a forwarding that it finds.
        for queue in partitionQueues { rd_kafka_queue_forward(queue.raw, native) }
        let stream = PartitionStream(
            queue: WakingQueue(native, name: "\(client.name) \(Assignment.summary(partitions))"),
            partitions: partitions, partitionQueues: partitionQueues)
        let error = PartitionList.with(starts) { rd_kafka_incremental_assign(handle, $0) }
        if let failure = CallFailure(consuming: error) {
            destroy(stream)
            return .failure(EventLogError(failure.code, "opening", detail: failure.message, on: client))
        }
        state.withLock { state in
            state.streams[ObjectIdentifier(stream)] = stream
            state.open.formUnion(partitions)
        }
        return .success(stream)
    }

    /// Stops reading a stream's partitions; afterwards they can be opened again.
    func release(_ handle: OpaquePointer, _ stream: PartitionStream) {
        let wasOpen = state.withLock { state in
            state.open.subtract(stream.partitions)
            return state.streams.removeValue(forKey: ObjectIdentifier(stream)) != nil
        }
        guard wasOpen else { return }
        stream.queue.shut()
        let error = PartitionList.with(stream.partitions) { rd_kafka_incremental_unassign(handle, $0) }
        if let error { rd_kafka_error_destroy(error) }
        // librdkafka stops the fetchers later, on its main thread, and clears the forwarding of their queues then. That
        // must not hit a forwarding that a new `open` makes, so wait until that thread has answered a later question.
        var ignored: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
        if rd_kafka_assignment(handle, &ignored) == RD_KAFKA_RESP_ERR_NO_ERROR, let ignored {
            rd_kafka_topic_partition_list_destroy(ignored)
        }
        destroy(stream)
    }

    /// For the end of the client, which stops all fetchers by itself.
    func releaseAll() {
        let streams = state.withLock { state in
            defer { state.streams = [:] }
            return state.streams
        }
        for stream in streams.values { destroy(stream) }
    }

    private func destroy(_ stream: PartitionStream) {
        for queue in stream.partitionQueues {
            rd_kafka_queue_forward(queue.raw, nil)
            rd_kafka_queue_destroy(queue.raw)
        }
        stream.queue.destroy()
    }

    /// librdkafka tells an unknown partition only by a log line, long after; so ask before.
    private func check(_ handle: OpaquePointer, _ partitions: [TopicPartition]) throws(EventLogError) {
        for partition in partitions {
            guard !state.withLock({ $0.open.contains(partition) }) else {
                throw EventLogError(
                    kind: .retriable, name: "_CONFLICT", message: "\(partition) is open in \(client.name) already",
                    nextStep: "close that stream first")
            }
            if let count = state.withLock({ $0.counts[partition.topic] }), partition.partition < count { continue }
            let count = try Metadata.partitionCount(
                of: partition.topic, handle, client, timeoutMilliseconds: Assignment.metadataTimeoutMilliseconds)
            state.withLock { $0.counts[partition.topic] = count ?? 0 }
            guard let count, (0..<count).contains(partition.partition) else {
                throw EventLogError(
                    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "opening \(partition)",
                    detail: count.map { "the topic has \($0) partitions" } ?? "the topic does not exist", on: client)
            }
        }
    }

    private static func summary(_ partitions: [TopicPartition]) -> String {
        guard let first = partitions.first else { return "(nothing)" }
        return partitions.count == 1 ? "\(first)" : "\(first) and \(partitions.count - 1) more"
    }
}
