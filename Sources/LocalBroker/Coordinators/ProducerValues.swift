import OrchestraCore

/// A producer id with its epoch.
struct ProducerIdentity: Hashable, Sendable, Codable, CustomStringConvertible {
    /// 0 or more; -1 means none.
    var producerID: Int64
    /// 0 or more; -1 means none.
    var epoch: Int16

    /// What clients send when they have no identity yet.
    static let none = ProducerIdentity(producerID: -1, epoch: -1)

    var description: String { "producer \(producerID) epoch \(epoch)" }
}

/// How a transaction ends; the raw value is the type in the key of a control record.
enum TransactionOutcome: Int16, Sendable, Hashable, Codable {
    case abort = 0
    case commit = 1
}

/// The header fields of a record batch that matter for idempotence and transactions.
struct ProducedBatch: Sendable, Hashable {
    var producer: ProducerIdentity
    /// The sequence number of the first record.
    var baseSequence: Int32
    /// `lastOffsetDelta + 1` of the batch, at least 1.
    var recordCount: Int32
    var isTransactional: Bool

    /// The sequence number of the last record; numbers wrap from `Int32.max` to 0.
    var lastSequence: Int32 {
        Int32((Int64(baseSequence) + Int64(recordCount) - 1) % (Int64(Int32.max) + 1))
    }

    /// The number that follows `sequence`.
    static func sequence(after sequence: Int32) -> Int32 { sequence == .max ? 0 : sequence + 1 }
}

/// A written batch as its producer's ledger entry remembers it.
struct SequencedBatch: Sendable, Hashable, Codable {
    /// How many batches per producer are remembered: Kafka's limit of requests in flight for idempotent producers.
    static let remembered = 5

    var baseSequence: Int32
    var lastSequence: Int32
    var baseOffset: Int64
    var lastOffset: Int64
    var appendTime: Timestamp
}

/// What a partition remembers of one producer. Stored as one row per partition and producer.
struct ProducerEntry: Sendable, Hashable, Codable {
    var producerID: Int64
    var epoch: Int16
    /// The last batches of this epoch, oldest first; at most ``SequencedBatch/remembered``.
    var batches: [SequencedBatch]
    /// Where the producer's open transaction starts in this partition.
    var transactionFirstOffset: Int64?
    var lastTimestamp: Timestamp

    var identity: ProducerIdentity { ProducerIdentity(producerID: producerID, epoch: epoch) }
}

/// A transaction that was aborted in a partition: `read_committed` readers skip the producer's data
/// from `firstOffset` up to its marker. Stored as one row.
struct AbortedTransaction: Sendable, Hashable, Codable {
    var producerID: Int64
    var firstOffset: Int64
    /// The offset of the abort marker.
    var lastOffset: Int64
    /// The partition's last stable offset once the marker was written.
    var lastStableOffset: Int64
}
