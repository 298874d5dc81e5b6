internal import CRdKafka
internal import Synchronization

/// The shell of a group membership: applies rebalances in the order that keeps commits valid.
///
/// An assignment is accepted before its event is returned, so fetching begins at once. A revocation is accepted only
/// when the reader comes back for more, because until then its commits must still count; if the reader does not come
/// back within `patience`, it is accepted all the same, so that one stuck member does not stop the group. A loss is
/// accepted at once: nothing can be committed any more.
final class Membership: Sendable {
    /// A rebalance as librdkafka tells it.
    struct Change: Sendable {
        let isAssignment: Bool
        let partitions: [TopicPartition]

        init(_ event: OpaquePointer) {
            isAssignment = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
            partitions =
                rd_kafka_event_topic_partition_list(event).map { list in
                    PartitionList.elements(of: list).map { TopicPartition($0) }
                } ?? []
        }
    }

    private struct State {
        var hasOpenRevocation = false
        var failure: EventLogError?
        var fatalFailure: EventLogError?
        var commits: [ObjectIdentifier: Commit] = [:]
    }

    let queue: WakingQueue
    private let client: ClientHandle
    private let patience: Duration
    private let state = Mutex(State())

    init(client: ClientHandle, queue: WakingQueue, patience: Duration) {
        self.client = client
        self.queue = queue
        self.patience = patience
    }

    var hasOpenRevocation: Bool { state.withLock { $0.hasOpenRevocation } }

    /// Runs on the client's thread.
    func apply(_ change: Change, _ handle: OpaquePointer) -> Result<GroupEvent, EventLogError> {
        if change.isAssignment {
            let code = PartitionList.with(change.partitions) { rd_kafka_assign(handle, $0) }
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                return .failure(EventLogError(code, "taking partitions over", on: client))
            }
            return .success(.assigned(change.partitions))
        }
        if rd_kafka_assignment_lost(handle) != 0 {
            rd_kafka_assign(handle, nil)
            return .success(.lost(change.partitions))
        }
        state.withLock { $0.hasOpenRevocation = true }
        client.setAlarm(at: .now + patience) { [self] in acknowledgeRevocation($0) }
        return .success(.revoked(change.partitions))
    }

    /// Runs on the client's thread. Gives the partitions up; the group goes on.
    func acknowledgeRevocation(_ handle: OpaquePointer) {
        let wasOpen = state.withLock { state in
            defer { state.hasOpenRevocation = false }
            return state.hasOpenRevocation
        }
        client.cancelAlarm()
        if wasOpen { rd_kafka_assign(handle, nil) }
    }

    /// - Returns: whether the reader must hear of it.
    func note(_ failure: ConsumerFailure) -> Bool {
        guard let error = failure.error(on: client) else { return false }
        state.withLock { state in
            if error.kind == .fatal || error.kind == .fenced {
                state.fatalFailure = error
            } else {
                state.failure = error
            }
        }
        return true
    }

    /// A fatal failure is told again and again, any other once.
    func takeFailure() -> EventLogError? {
        state.withLock { state in
            defer { state.failure = nil }
            return state.fatalFailure ?? state.failure
        }
    }

    /// Sends a commit; the answer comes on the client's thread.
    func commit(
        _ offsets: [TopicPartition: Int64], _ continuation: CheckedContinuation<Result<Void, EventLogError>, Never>
    ) {
        let commit = Commit(membership: self, continuation: continuation)
        state.withLock { $0.commits[ObjectIdentifier(commit)] = commit }
        do {
            let code = try client.useWithMainQueue { handle, mainQueue in
                PartitionList.with(offsets) { list in
                    rd_kafka_commit_queue(
                        handle, list, mainQueue,
                        { _, code, _, opaque in
                            guard let opaque else { return }
                            Unmanaged<Commit>.fromOpaque(opaque).takeUnretainedValue().answered(code)
                        }, Unmanaged.passUnretained(commit).toOpaque())
                }
            }
            if code != RD_KAFKA_RESP_ERR_NO_ERROR { commit.answered(code) }
        } catch {
            finish(commit, .failure(error))
        }
    }

    /// Fails the commits that a destroyed client left unanswered.
    func failCommits() {
        for commit in state.withLock({ Array($0.commits.values) }) {
            finish(commit, .failure(.closed(client.name)))
        }
    }

    /// Runs on the client's thread, at its end: gives the partitions back and tells the group.
    func leave(_ handle: OpaquePointer) {
        acknowledgeRevocation(handle)
        // Not `rd_kafka_consumer_close_queue` on this queue: what arrives in it after the close would keep librdkafka
        // from ever being destroyed. This call serves a queue of its own and throws away what is left in it. It ends
        // within the session time-out even if the coordinator is away.
        queue.destroy { rd_kafka_consumer_close(handle) }
    }

    fileprivate func finish(_ commit: Commit, _ outcome: Result<Void, EventLogError>) {
        let isFirst = state.withLock { $0.commits.removeValue(forKey: ObjectIdentifier(commit)) != nil }
        if isFirst { commit.continuation.resume(returning: outcome) }
    }

    fileprivate func failure(_ code: rd_kafka_resp_err_t) -> EventLogError {
        EventLogError(code, "committing offsets", on: client)
    }
}

/// A commit on its way. `Membership` holds it until it is answered; librdkafka has its address.
private final class Commit: Sendable {
    private unowned let membership: Membership
    let continuation: CheckedContinuation<Result<Void, EventLogError>, Never>

    init(membership: Membership, continuation: CheckedContinuation<Result<Void, EventLogError>, Never>) {
        self.membership = membership
        self.continuation = continuation
    }

    func answered(_ code: rd_kafka_resp_err_t) {
        // Committing what is committed already is no error.
        let isDone = code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET
        membership.finish(self, isDone ? .success(()) : .failure(membership.failure(code)))
    }
}
