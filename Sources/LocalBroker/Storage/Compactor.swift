import GRDB

// Compaction: of each key only the newest record stays. After Kafka's LogCleaner, with batches for segments:
//
// - Only what lies below the last stable offset is touched; offsets never change, a batch keeps its first and its last
//   offset even if records between them go. The log's last batch is never touched, so a reader always finds the end.
// - Records of aborted transactions go, and markers of committed ones, which no reader needs. An abort marker stays for
//   `delete.retention.ms` more; then its transaction is taken off the aborted list, and only then the marker goes: a
//   reader that finds a transaction on the list skips everything of its producer up to the marker.
// - A tombstone stays for `delete.retention.ms` from the round in which it became the newest of its key: its batch
//   gets a horizon then. Readers that lag longer start anew.
// - Compressed batches are kept whole (their keys are not looked into; only aborted ones go); and as they may hold older
//   values of any key, no tombstone above one goes. Compacted topics want producers with `compression.type=none`.
//
/// Decides what remains of single batches.
struct Compactor {
    /// A batch as it lies in the database.
    struct StoredBatch {
        var rowID: Int64
        var maximumTimestamp: Int64
        var deleteHorizon: Int64?
        var bytes: [UInt8]
    }

    /// What is to be done with a batch.
    enum Action: Sendable, Equatable {
        case keep
        case delete
        /// Keep it until maintenance looks at its tombstones again.
        case setHorizon(Int64)
        case replace([UInt8], horizon: Int64?)
        /// An abort marker whose time has come: it goes once its transaction is off the aborted list.
        case retire(markerOffset: Int64)
    }

    /// The newest offset of each key in the part of the log that was not compacted before.
    private(set) var newest: [[UInt8]: Int64] = [:]
    private(set) var isFull = false
    private var keyBytes = 0
    private(set) var hasSeenCompressed = false

    /// By producer id.
    private let aborted: [Int64: [AbortedTransaction]]
    let now: Int64
    let deleteRetention: Int64
    let maximumKeyBytes: Int

    init(aborted: [AbortedTransaction], now: Int64, deleteRetention: Int64, maximumKeyBytes: Int = 32 << 20) {
        self.aborted = Dictionary(grouping: aborted, by: \.producerID)
        self.now = now
        self.deleteRetention = deleteRetention
        self.maximumKeyBytes = maximumKeyBytes
    }

    // MARK: First the keys

    /// Notes the keys of a batch.
    ///
    /// - Returns: false if there is no room for more: the round ends before this batch.
    mutating func note(_ bytes: [UInt8]) -> Bool {
        guard !isFull else { return false }
        guard keyBytes < maximumKeyBytes || newest.isEmpty else {
            isFull = true
            return false
        }
        bytes.withUnsafeBytes { raw in
            guard let header = RecordBatchHeader(raw), !header.isCompressed, !header.isControl, !isAborted(header)
            else {
                return
            }
            var reader = RecordReader(batch: raw)
            while let record = reader.next() {
                guard let key = record.key else { continue }
                let copy = Array(raw[key])
                let offset = header.baseOffset + Int64(record.offsetDelta)
                // Besides the key's own bytes an entry costs about as much as this.
                if newest.updateValue(offset, forKey: copy) == nil { keyBytes += copy.count + 64 }
            }
        }
        return true
    }

    // MARK: Then the batches, in the order of their offsets

    mutating func action(for batch: StoredBatch) -> Action {
        batch.bytes.withUnsafeBytes { raw in
            guard let header = RecordBatchHeader(raw) else { return .keep }
            if header.isControl {
                guard TransactionOutcome(marker: raw) != .commit else { return .delete }
                guard let horizon = batch.deleteHorizon else { return .setHorizon(saturatingSum(now, deleteRetention)) }
                return horizon <= now ? .retire(markerOffset: header.baseOffset) : .keep
            }
            if isAborted(header) { return .delete }
            if header.isCompressed {
                hasSeenCompressed = true
                return .keep
            }
            return action(for: batch, header, raw)
        }
    }

    private func action(
        for batch: StoredBatch, _ header: RecordBatchHeader, _ raw: UnsafeRawBufferPointer
    ) -> Action {
        let dropsTombstones = !hasSeenCompressed && batch.deleteHorizon.map { $0 <= now } ?? false
        var kept: [Range<Int>] = []
        var count: Int32 = 0
        var hasTombstones = false
        var reader = RecordReader(batch: raw)
        while let record = reader.next() {
            count += 1
            if let key = record.key {
                let offset = header.baseOffset + Int64(record.offsetDelta)
                if let newer = newest[Array(raw[key])], newer > offset { continue }
                if record.value == nil {
                    if dropsTombstones { continue }
                    hasTombstones = true
                }
            }
            kept.append(record.extent)
        }
        // Not what it claims to be: not ours to destroy.
        guard reader.isAtEnd, count == header.recordCount else { return .keep }
        let horizon = hasTombstones ? batch.deleteHorizon ?? saturatingSum(now, deleteRetention) : nil
        if kept.count == Int(count) {
            guard let horizon, batch.deleteHorizon == nil else { return .keep }
            return .setHorizon(horizon)
        }
        guard !kept.isEmpty else { return .delete }
        var records: [UInt8] = []
        records.reserveCapacity(kept.reduce(0) { $0 + $1.count })
        for range in kept { records.append(contentsOf: raw[range]) }
        let rebuilt = RecordBatch.build(
            records: records, recordCount: Int32(kept.count), lastOffsetDelta: header.lastOffsetDelta,
            baseOffset: header.baseOffset, attributes: header.attributes, baseTimestamp: header.baseTimestamp,
            maximumTimestamp: header.maximumTimestamp,
            producer: ProducerIdentity(producerID: header.producerID, epoch: header.producerEpoch),
            baseSequence: header.baseSequence)
        return .replace(rebuilt.bytes, horizon: horizon)
    }

    private func saturatingSum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    private func isAborted(_ header: RecordBatchHeader) -> Bool {
        guard header.isTransactional, !header.isControl else { return false }
        return aborted[header.producerID]?.contains {
            $0.firstOffset <= header.baseOffset && header.baseOffset <= $0.lastOffset
        } ?? false
    }
}
