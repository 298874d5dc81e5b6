internal import CRdKafka
internal import Synchronization

/// What a stream of partitions delivers.
package enum IntakeEvent: Sendable, Hashable {
    case record(ConsumedRecord)
    /// Everything that is there now has been delivered: reading goes on at `nextOffset`. It counts what is never
    /// delivered (transactions' control markers, aborted and compacted records), so it can be compared with an end
    /// offset. Comes again each time that new records have been caught up with.
    case endOfPartition(TopicPartition, nextOffset: Int64)
}

/// One stream of one or more partitions: pulled, bounded, in order for each partition. One task at a time reads it.
package final class Intake: Sendable {
    private let client: ClientHandle
    private let assignment: Assignment
    private let stream: PartitionStream
    private let nudge: FetchNudge
    private let pacer: Mutex<FetchPacer>
    private let failure = Mutex<EventLogError?>(nil)

    init(
        client: ClientHandle, assignment: Assignment, stream: PartitionStream, pacer: FetchPacer, nudge: FetchNudge
    ) {
        self.client = client
        self.assignment = assignment
        self.stream = stream
        self.nudge = nudge
        self.pacer = Mutex(pacer)
    }

    deinit {
        client.enqueue { [assignment, stream] in assignment.release($0, stream) }
    }

    /// The next events: as many as are there, at least one, at most `maximumRecords`. Suspends while there is none;
    /// no thread waits.
    ///
    /// - Throws: ``EventLogError``: `offsetOutOfRange`, `unknownTopic` or `fatal`, after everything before it was
    ///   delivered: this stream is over, open a new one; `closed` if the stream or its consumer was closed, or the task
    ///   cancelled (then nothing is lost: the next call goes on).
    package func next(maximumRecords: Int) async throws(EventLogError) -> [IntakeEvent] {
        while true {
            try stream.queue.check()
            stream.queue.arm()
            let events = poll(maximum: max(1, maximumRecords))
            if !events.isEmpty { return events }
            if let failure = failure.withLock({ $0 }) { throw failure }
            try await stream.queue.wait()
        }
    }

    /// Stops reading. Afterwards the partitions can be opened again.
    package func close() async {
        stream.queue.shut()
        _ = try? await client.run { [assignment, stream] handle -> Result<Void, EventLogError> in
            assignment.release(handle, stream)
            return .success(())
        }
    }

    private func poll(maximum: Int) -> [IntakeEvent] {
        guard failure.withLock({ $0 == nil }) else { return [] }
        var events: [IntakeEvent] = []
        var decoder = RecordDecoder()
        stream.queue.poll { event in
            if rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH {
                while let message = rd_kafka_event_message_next(event) {
                    events.append(.record(decoder.record(message)))
                }
            } else if rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR {
                let failure = ConsumerFailure(event)
                if failure.code == RD_KAFKA_RESP_ERR__PARTITION_EOF, let partition = failure.partition {
                    events.append(.endOfPartition(partition, nextOffset: failure.offset))
                } else if let error = failure.error(on: client) {
                    self.failure.withLock { $0 = error }
                    return false
                }
            }
            return events.count < maximum
        }
        if pacer.withLock({ $0.took(records: events.count, bytes: decoder.bytes) }) {
            // Fails only while the client closes, when nothing is fetched any more.
            try? client.use { nudge($0) }
        }
        return events
    }
}
