import OrchestraCore

/// What the shell must do for the transaction coordinator, in order, in one SQLite transaction.
enum TransactionDirective: Sendable, Hashable {
    /// Insert or replace the row of this transactional id.
    case persist(TransactionRow)
    /// Delete the row of this transactional id.
    case remove(transactionalID: String)
    /// Store the first producer id that has never been handed out.
    case saveNextProducerID(Int64)
    /// End a transaction: append a control batch to each partition (and tell its ledger), and apply the groups' pending
    /// offsets through ``GroupCoordinator/completeTransaction(producerID:groups:outcome:now:)``.
    case finish(TransactionCompletion)
}

/// The end of a transaction.
struct TransactionCompletion: Sendable, Hashable {
    var transactionalID: String
    /// What the markers carry; a fencing abort carries a higher epoch than the transaction's batches.
    var producer: ProducerIdentity
    var outcome: TransactionOutcome
    /// Sorted, without repetition.
    var partitions: [TopicPartition]
    /// Groups whose offsets are part of it, sorted.
    var groups: [String]
}

/// A transactional id as it is stored: one row.
struct TransactionRow: Sendable, Hashable, Codable {
    enum State: String, Sendable, Hashable, Codable {
        /// No transaction since the producer was initialised. Next: ongoing.
        case empty
        /// Next: completeCommit, completeAbort; empty when a new instance takes over.
        case ongoing
        /// The last transaction was committed. Next: ongoing, empty.
        case completeCommit
        /// The last transaction was aborted. Next: ongoing, empty.
        case completeAbort

        /// Every state that Apache Kafka has, in the words of ListTransactions' filter.
        static let kafkaNames: Set<String> = [
            "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead",
            "PrepareEpochFence",
        ]

        /// As DescribeTransactions and ListTransactions name it.
        var kafkaName: String {
            switch self {
            case .empty: "Empty"
            case .ongoing: "Ongoing"
            case .completeCommit: "CompleteCommit"
            case .completeAbort: "CompleteAbort"
            }
        }
    }

    var transactionalID: String
    var producerID: Int64
    var epoch: Int16
    /// The identity before the last bump or rotation that the producer itself asked for; a repetition of that request
    /// is recognised by it.
    var previous: ProducerIdentity
    var timeoutMilliseconds: Int32
    var state: State
    /// Partitions of the open transaction, sorted.
    var partitions: [TopicPartition]
    /// Groups of the open transaction, sorted.
    var groups: [String]
    /// When the open transaction got its first partition or group.
    var startedAt: Timestamp?
    var lastUpdate: Timestamp

    var identity: ProducerIdentity { ProducerIdentity(producerID: producerID, epoch: epoch) }

    /// When the open transaction is aborted from here.
    var deadline: Timestamp? { startedAt?.advanced(by: .milliseconds(Int64(timeoutMilliseconds))) }
}
