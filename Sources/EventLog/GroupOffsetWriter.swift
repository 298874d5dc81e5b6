internal import CRdKafka
package import Logging
internal import OrchestraCore

/// Tells a consumer group how far partitions have been read, for somebody who reads them without being a member:
/// what tools show as the group's lag.
///
/// (`AlterConsumerGroupOffsets` would do the same; librdkafka 2.0.2 aborts the process when the group's coordinator
/// does not answer it in time.)
package final class GroupOffsetWriter: Sendable {
    private let client: ClientHandle

    /// - Parameter groupID: the group; it must have no members.
    /// - Throws: ``EventLogError`` with `badConfiguration`.
    package init(_ configuration: KafkaConfiguration, groupID: String, logger: Logger) throws(EventLogError) {
        var fixed = ClientConfiguration.consumerFixed
        fixed["group.id"] = groupID
        // Nobody joins; here it bounds how long the end waits with a commit whose coordinator is away.
        fixed["session.timeout.ms"] = "1000"
        var properties = ClientConfiguration(
            configuration, role: .consumer,
            defaults: ["statistics.interval.ms": "0", "heartbeat.interval.ms": "300"], fixed: fixed)
        properties.leavesGroup = false
        properties.events = RD_KAFKA_EVENT_OFFSET_COMMIT
        client = try ClientHandle(properties, name: "\(configuration.clientID)/\(groupID)/offsets", logger: logger)
    }

    deinit {
        client.beginClosing()
    }

    /// - Parameters:
    ///   - offsets: for each partition the next offset to read.
    ///   - timeout: how long to wait for the group's coordinator; librdkafka alone would wait until it is back.
    /// - Throws: ``EventLogError``: `timedOut` (it may be committed later); `retriable`; `fenced` if the group has members;
    ///   `unknownTopic`, `fatal`; `closed`, also when the task is cancelled.
    package func commit(_ offsets: [TopicPartition: Int64], timeout: Duration) async throws(EventLogError) {
        guard !offsets.isEmpty else { return }
        let commit = try OffsetCommit(offsets, client: client)
        let outcome = await withTaskGroup(of: Result<Void, EventLogError>?.self) { group in
            group.addTask { await commit.outcome() }
            group.addTask {
                // Cut short when the answer has come.
                try? await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        guard let outcome else {
            throw Task.isCancelled ? .closed(client.name) : commit.error(RD_KAFKA_RESP_ERR__TIMED_OUT)
        }
        try outcome.get()
    }

    /// Ends, when commits under way have ended. Later ones fail with `closed`.
    package func close() async {
        await client.close()
    }
}

/// One commit under way.
private final class OffsetCommit: Sendable {
    private let client: ClientHandle
    private let answers: WakingQueue

    init(_ offsets: [TopicPartition: Int64], client: ClientHandle) throws(EventLogError) {
        self.client = client
        let handle = try client.enter()
        let queue: OpaquePointer = rd_kafka_queue_new(handle)
        answers = WakingQueue(queue, name: client.name)
        let code = PartitionList.with(offsets) { rd_kafka_commit_queue(handle, $0, queue, nil, nil) }
        // `deinit` takes back what has been taken.
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(code) }
    }

    deinit {
        answers.destroy()
        client.leave()
    }

    func outcome() async -> Result<Void, EventLogError> {
        while true {
            answers.arm()
            var code: rd_kafka_resp_err_t?
            answers.poll { event in
                code = rd_kafka_event_error(event)
                return false
            }
            switch code {
            case RD_KAFKA_RESP_ERR_NO_ERROR: return .success(())
            case let code?: return .failure(error(code))
            case nil: break
            }
            do throws(EventLogError) { try await answers.wait() } catch { return .failure(error) }
        }
    }

    func error(_ code: rd_kafka_resp_err_t) -> EventLogError {
        EventLogError(code, "committing offsets of a group", on: client)
    }
}
