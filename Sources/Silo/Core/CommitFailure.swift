package import EventLog

/// What follows from a transaction that did not commit.
package enum CommitFailure: Sendable, Hashable {
    /// The batch itself may be the reason: a second time, its inputs are run one by one.
    case abortedByContent
    /// The network or the broker is the reason: run the batch again.
    case abortedByTransport
    /// The partition must be begun again; the batch may or may not have been committed.
    case ownershipInDoubt

    package init(_ error: EventLogError) {
        switch error.kind {
        case .tooLarge, .unknownTopic: self = .abortedByContent
        case .retriable, .timedOut, .queueFull: self = .abortedByTransport
        case .abortable:
            self = CommitFailure.transportErrors.contains(error.name) ? .abortedByTransport : .abortedByContent
        case .fenced, .fatal, .outcomeUnknown, .closed, .offsetOutOfRange, .badConfiguration:
            self = .ownershipInDoubt
        }
    }

    /// librdkafka's names of errors that say nothing about the records.
    private static let transportErrors: Set<String> = [
        "_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_MSG_TIMED_OUT", "_RESOLVE", "_SSL",
        "_WAIT_COORD", "_RETRY", "_STATE", "_PURGE_QUEUE", "_PURGE_INFLIGHT", "_QUEUE_FULL",
        "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE",
        "BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "CONCURRENT_TRANSACTIONS",
        "KAFKA_STORAGE_ERROR", "UNKNOWN_PRODUCER_ID", "OUT_OF_ORDER_SEQUENCE_NUMBER", "THROTTLING_QUOTA_EXCEEDED",
    ]
}
