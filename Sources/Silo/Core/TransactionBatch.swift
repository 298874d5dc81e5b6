package import EventLog

/// What is written in one transaction, and how far the inputs that caused it have been read.
package struct TransactionBatch: Sendable {
    package var records: [ProducerRecord]
    /// For each input partition the next offset to read. The records say it too (`\0progress`, the authority); from
    /// here ``GroupOffsets`` gets it.
    package var offsets: [TopicPartition: Int64]

    package init(records: [ProducerRecord], offsets: [TopicPartition: Int64] = [:]) {
        self.records = records
        self.offsets = offsets
    }
}
