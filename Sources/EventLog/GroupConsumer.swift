internal import CRdKafka
package import Logging
internal import OrchestraCore
internal import Synchronization

/// What a member of a consumer group gets.
package enum GroupEvent: Sendable, Hashable {
    case record(ConsumedRecord)
    /// These partitions are this member's from now on.
    case assigned([TopicPartition])
    /// These partitions go to another member. They are still this member's until the next call of `next` (at most for
    /// one session time-out): commit before.
    case revoked([TopicPartition])
    /// These partitions were taken away, because the group did not hear from this member: another member may have read
    /// them already, and commits for them are refused.
    case lost([TopicPartition])
}

/// A member of a consumer group, for workers that take every record at least once.
///
/// Partitions are shared out with the range strategy, which takes all partitions from all members at a rebalance:
/// librdkafka 2.0.2 can lose assignments with the sticky ones. A member that is slow keeps its partitions as long as
/// its process lives (`sessionTimeout` decides): tasks have deadlines of their own.
package final class GroupConsumer: Sendable {
    private let client: ClientHandle
    private let membership: Membership
    private let pacer: Mutex<FetchPacer>
    private let nudge: FetchNudge

    /// Joins a group; it connects by itself. A group without committed offsets begins at the oldest records.
    ///
    /// - Parameters:
    ///   - groupID: the group.
    ///   - topics: what it reads.
    ///   - instanceID: makes the membership static: a process that comes back with the same id within
    ///     `sessionTimeout` gets its partitions back without a rebalance, and closing does not give them up.
    ///   - sessionTimeout: a member that is silent for this long is taken for dead; 10 s by default.
    /// - Throws: ``EventLogError`` with `badConfiguration`.
    package init(
        _ configuration: KafkaConfiguration, groupID: String, topics: [String], instanceID: String? = nil,
        sessionTimeout: Duration = .seconds(10), logger: Logger
    ) throws(EventLogError) {
        let session = max(1000, sessionTimeout.wholeMilliseconds)
        var fixed = ClientConfiguration.consumerFixed
        fixed["group.id"] = groupID
        fixed["group.instance.id"] = instanceID
        fixed["session.timeout.ms"] = "\(session)"
        fixed["isolation.level"] = "read_committed"
        fixed["enable.partition.eof"] = "false"
        fixed["auto.offset.reset"] = "earliest"
        fixed["partition.assignment.strategy"] = "range"
        var defaults = ClientConfiguration.consumerDefaults
        defaults["heartbeat.interval.ms"] = "\(min(1000, session / 3))"
        defaults["max.poll.interval.ms"] = "\(max(300_000, session))"
        // A topic that is made after its readers is noticed soon.
        defaults["topic.metadata.refresh.interval.ms"] = "10000"
        var properties = ClientConfiguration(configuration, role: .consumer, defaults: defaults, fixed: fixed)
        properties.events = RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_REBALANCE
        pacer = Mutex(properties.makePacer())
        nudge = FetchNudge(properties)
        let client = try ClientHandle(properties, name: "\(configuration.clientID)/\(groupID)", logger: logger)
        self.client = client
        // Nothing but `close` can make this fail, and it cannot have been called yet.
        let queue = try client.use { NativePointer(raw: rd_kafka_queue_get_consumer($0)) }
        membership = Membership(
            client: client, queue: WakingQueue(queue.raw, name: client.name), patience: .milliseconds(session))
        let code = try client.use { handle in
            PartitionList.with(topics.map { TopicPartition($0) }) { rd_kafka_subscribe(handle, $0) }
        }
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw EventLogError(code, "subscribing to \(topics)", kind: .badConfiguration, on: client)
        }
    }

    deinit {
        client.beginClosing(finally: { [membership] in membership.leave($0) })
    }

    /// The next events: as many as are there, at least one, at most `maximumRecords`; an event that is not a record is
    /// the last of its batch. Suspends while there is none; no thread waits. One task at a time reads. Calling it
    /// acknowledges a revocation that the call before returned.
    ///
    /// - Throws: ``EventLogError``: `unknownTopic` while a topic does not exist (call again: it is looked for);
    ///   `fenced` if another process has the same `instanceID`, or `fatal`: close this member; `closed` if it was
    ///   closed or the task cancelled (then nothing is lost: the next call goes on).
    package func next(maximumRecords: Int) async throws(EventLogError) -> [GroupEvent] {
        if membership.hasOpenRevocation {
            try await client.run { [membership] in .success(membership.acknowledgeRevocation($0)) }
        }
        while true {
            try membership.queue.check()
            if let failure = membership.takeFailure() { throw failure }
            membership.queue.arm()
            var (events, change) = poll(maximum: max(1, maximumRecords))
            if let change {
                events.append(try await client.run { [membership] in membership.apply(change, $0) })
            }
            if !events.isEmpty { return events }
            if let failure = membership.takeFailure() { throw failure }
            try await membership.queue.wait()
        }
    }

    /// Records how far the group has read.
    ///
    /// - Parameter nextOffsets: for each partition the next offset to read.
    /// - Throws: ``EventLogError``: `fenced` if the group has given the partitions to another member; `retriable`,
    ///   `timedOut`; `closed`.
    package func commit(_ nextOffsets: [TopicPartition: Int64]) async throws(EventLogError) {
        guard !nextOffsets.isEmpty else { return }
        let outcome: Result<Void, EventLogError> = await withCheckedContinuation { continuation in
            membership.commit(nextOffsets, continuation)
        }
        try outcome.get()
    }

    /// Stops fetching from partitions; they stay this member's.
    package func pause(_ partitions: [TopicPartition]) {
        client.enqueue { handle in
            _ = PartitionList.with(partitions) { rd_kafka_pause_partitions(handle, $0) }
        }
    }

    /// Fetches again from where ``next(maximumRecords:)`` stopped.
    package func resume(_ partitions: [TopicPartition]) {
        client.enqueue { [nudge] handle in
            _ = PartitionList.with(partitions) { rd_kafka_resume_partitions(handle, $0) }
            nudge(handle)
        }
    }

    /// Leaves the group, so that its partitions go to others at once (not with an `instanceID`), and ends.
    package func close() async {
        membership.queue.shut()
        await client.close(finally: { [membership] in membership.leave($0) })
        membership.failCommits()
    }

    private func poll(maximum: Int) -> (events: [GroupEvent], change: Membership.Change?) {
        var events: [GroupEvent] = []
        var change: Membership.Change?
        var decoder = RecordDecoder()
        membership.queue.poll { event in
            switch rd_kafka_event_type(event) {
            case RD_KAFKA_EVENT_FETCH:
                while let message = rd_kafka_event_message_next(event) {
                    events.append(.record(decoder.record(message)))
                }
                return events.count < maximum
            case RD_KAFKA_EVENT_REBALANCE:
                change = Membership.Change(event)
                return false
            case RD_KAFKA_EVENT_ERROR:
                return !membership.note(ConsumerFailure(event))
            default:
                return true
            }
        }
        if pacer.withLock({ $0.took(records: events.count, bytes: decoder.bytes) }) {
            // Fails only while the client closes, when nothing is fetched any more.
            try? client.use { nudge($0) }
        }
        return (events, change)
    }
}

extension TopicPartition {
    /// As a subscription names a topic.
    fileprivate init(_ topic: String) {
        self.init(topic: topic, partition: RD_KAFKA_PARTITION_UA)
    }
}
