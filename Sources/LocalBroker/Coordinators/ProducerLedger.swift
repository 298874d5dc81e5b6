import OrchestraCore

/// What one partition knows about its producers: which batches it has seen, which transactions are open and which were
/// aborted.
///
/// A value type without I/O. For each batch with a producer id the shell calls ``check(_:)``; on `.append` it writes
/// the batch and calls ``append(_:baseOffset:now:)``; markers go through ``complete(_:outcome:markerOffset:now:)``.
/// ``drainChanges()`` gives the rows that must become durable in the same SQLite transaction as the batches; many
/// appends of one producer between two drains cost one row. If that transaction fails, the shell drops the ledger
/// and restores it from the rows.
///
/// The rules are those of `ProducerAppendInfo`, `ProducerStateManager` and `TransactionIndex` in Apache Kafka 3.x:
/// - an older epoch is fenced (INVALID_PRODUCER_EPOCH), a newer one starts at sequence 0;
/// - the last ``SequencedBatch/remembered`` batches of a producer are remembered: a repeated one is answered with its
///   old offset, anything else that does not continue the sequence is OUT_OF_ORDER_SEQUENCE_NUMBER;
/// - sequences wrap from 2,147,483,647 to 0;
/// - a producer that the partition does not know (any more) may start at any sequence.
struct ProducerLedger: Sendable {
    /// What to do with a batch.
    enum Verdict: Sendable, Hashable {
        /// It continues its producer's sequence: write it.
        case append
        /// It has been written before: answer with these values, write nothing.
        case duplicate(baseOffset: Int64, appendTime: Timestamp)
        /// Answer with this error, write nothing.
        case refuse(KafkaErrorCode)
    }

    /// Rows that changed since the last drain; to be written in the SQLite transaction that holds their batches.
    struct Changes: Sendable, Hashable {
        /// Insert or replace, by producer id.
        var producers: [ProducerEntry] = []
        /// Delete by producer id.
        var removedProducers: [Int64] = []
        /// Insert.
        var aborted: [AbortedTransaction] = []
        /// Delete every aborted transaction whose `lastOffset` is below this.
        var removeAbortedBelow: Int64?
        /// Delete the aborted transactions with these `lastOffset`s.
        var removedAborted: [Int64] = []

        var isEmpty: Bool {
            producers.isEmpty && removedProducers.isEmpty && aborted.isEmpty && removeAbortedBelow == nil
                && removedAborted.isEmpty
        }
    }

    private(set) var producers: [Int64: ProducerEntry] = [:]
    /// Sorted by `lastOffset`; `lastStableOffset` grows along with it.
    private(set) var aborted: [AbortedTransaction] = []
    /// Producer id → first offset of its open transaction.
    private(set) var openTransactions: [Int64: Int64] = [:]
    /// Grows with every removal from ``aborted``. Whoever read batches before a removal must not list the aborted
    /// transactions after it.
    private(set) var abortedRemovals = 0

    /// The smallest value of ``openTransactions``.
    private var earliestOpenOffset: Int64?
    private var changedProducers: Set<Int64> = []
    private var pendingAborted: [AbortedTransaction] = []
    private var removeAbortedBelow: Int64?
    private var removedAborted: [Int64] = []

    /// An empty partition, or one as it was when the rows were written.
    ///
    /// - Parameters:
    ///   - producers: every stored ``ProducerEntry`` of the partition.
    ///   - aborted: every stored ``AbortedTransaction`` of the partition, in any order.
    init(producers: [ProducerEntry] = [], aborted: [AbortedTransaction] = []) {
        for entry in producers {
            self.producers[entry.producerID] = entry
            if let firstOffset = entry.transactionFirstOffset { openTransactions[entry.producerID] = firstOffset }
        }
        earliestOpenOffset = openTransactions.values.min()
        self.aborted = aborted.sorted { $0.lastOffset < $1.lastOffset }
    }

    /// Decides about a batch of a client. Changes nothing, so a refused or failed write leaves no trace.
    ///
    /// Batches without a producer id need no check.
    func check(_ batch: ProducedBatch) -> Verdict {
        guard batch.producer.producerID >= 0, batch.producer.epoch >= 0, batch.baseSequence >= 0, batch.recordCount > 0
        else { return .refuse(.invalidRecord) }
        guard let entry = producers[batch.producer.producerID] else { return .append }
        guard batch.producer.epoch >= entry.epoch else { return .refuse(.invalidProducerEpoch) }
        if batch.producer.epoch > entry.epoch {
            return batch.baseSequence == 0 ? .append : .refuse(.outOfOrderSequenceNumber)
        }
        if let known = entry.batches.first(where: {
            $0.baseSequence == batch.baseSequence && $0.lastSequence == batch.lastSequence
        }) {
            return .duplicate(baseOffset: known.baseOffset, appendTime: known.appendTime)
        }
        let expected = entry.batches.last.map { ProducedBatch.sequence(after: $0.lastSequence) } ?? 0
        guard batch.baseSequence == expected else { return .refuse(.outOfOrderSequenceNumber) }
        guard batch.isTransactional || entry.transactionFirstOffset == nil else {
            return .refuse(.invalidTransactionState)
        }
        return .append
    }

    /// Takes note of a written batch for which ``check(_:)`` said `.append`.
    mutating func append(_ batch: ProducedBatch, baseOffset: Int64, now: Timestamp) {
        let producerID = batch.producer.producerID
        var entry =
            producers[producerID]
            ?? ProducerEntry(
                producerID: producerID, epoch: batch.producer.epoch, batches: [], transactionFirstOffset: nil,
                lastTimestamp: now)
        adopt(batch.producer.epoch, in: &entry)
        entry.batches.append(
            SequencedBatch(
                baseSequence: batch.baseSequence, lastSequence: batch.lastSequence, baseOffset: baseOffset,
                lastOffset: baseOffset + Int64(batch.recordCount) - 1, appendTime: now))
        if entry.batches.count > SequencedBatch.remembered { entry.batches.removeFirst() }
        entry.lastTimestamp = now
        if batch.isTransactional, entry.transactionFirstOffset == nil {
            entry.transactionFirstOffset = baseOffset
            openTransactions[producerID] = baseOffset
            earliestOpenOffset = min(earliestOpenOffset ?? baseOffset, baseOffset)
        }
        producers[producerID] = entry
        changedProducers.insert(producerID)
    }

    /// Takes note of a written control marker: ends the producer's transaction here and adopts the marker's epoch,
    /// so that older epochs are fenced.
    ///
    /// - Returns: the aborted transaction if there was one with data.
    @discardableResult
    mutating func complete(
        _ producer: ProducerIdentity, outcome: TransactionOutcome, markerOffset: Int64, now: Timestamp
    ) -> AbortedTransaction? {
        var entry =
            producers[producer.producerID]
            ?? ProducerEntry(
                producerID: producer.producerID, epoch: producer.epoch, batches: [], transactionFirstOffset: nil,
                lastTimestamp: now)
        adopt(producer.epoch, in: &entry)
        let firstOffset = entry.transactionFirstOffset
        entry.transactionFirstOffset = nil
        entry.lastTimestamp = now
        producers[producer.producerID] = entry
        changedProducers.insert(producer.producerID)
        guard let firstOffset else { return nil }

        openTransactions[producer.producerID] = nil
        if firstOffset == earliestOpenOffset { earliestOpenOffset = openTransactions.values.min() }
        guard outcome == .abort else { return nil }
        let transaction = AbortedTransaction(
            producerID: producer.producerID, firstOffset: firstOffset, lastOffset: markerOffset,
            lastStableOffset: lastStableOffset(logEndOffset: markerOffset + 1))
        aborted.append(transaction)
        pendingAborted.append(transaction)
        return transaction
    }

    /// The first offset that `read_committed` may not see: where the earliest open transaction starts, else the end.
    func lastStableOffset(logEndOffset: Int64) -> Int64 {
        min(earliestOpenOffset ?? logEndOffset, logEndOffset)
    }

    /// What a `read_committed` fetch answer must list: aborted transactions that overlap
    /// `fetchOffset ..< upperBound`. Those that ended before `fetchOffset` are left out: a client
    /// would drop the producer's next, committed records.
    func abortedTransactions(fetchOffset: Int64, upperBound: Int64) -> [AbortedTransaction] {
        var found: [AbortedTransaction] = []
        for transaction in aborted[firstAborted(endingAtOrAfter: fetchOffset)...] {
            if transaction.firstOffset < upperBound { found.append(transaction) }
            // Whatever was aborted later had not started below the last stable offset of this moment.
            if transaction.lastStableOffset >= upperBound { break }
        }
        return found
    }

    /// Forgets what lies below a raised log start (retention, DeleteRecords).
    mutating func truncate(before logStartOffset: Int64) {
        let kept = firstAborted(endingAtOrAfter: logStartOffset)
        if kept > 0 {
            aborted.removeFirst(kept)
            pendingAborted.removeAll { $0.lastOffset < logStartOffset }
            removeAbortedBelow = logStartOffset
            abortedRemovals += 1
        }
        // An open transaction whose first records are gone still holds the last stable offset, but no lower than the
        // log starts.
        for (producerID, firstOffset) in openTransactions where firstOffset < logStartOffset {
            openTransactions[producerID] = logStartOffset
            producers[producerID]?.transactionFirstOffset = logStartOffset
            changedProducers.insert(producerID)
        }
        earliestOpenOffset = openTransactions.values.min()
    }

    /// Forgets aborted transactions of which no data is left, by the offsets of their markers, before the markers go.
    mutating func forgetAborted(markersAt offsets: Set<Int64>) {
        let removed = aborted.map(\.lastOffset).filter(offsets.contains)
        guard !removed.isEmpty else { return }
        aborted.removeAll { offsets.contains($0.lastOffset) }
        pendingAborted.removeAll { offsets.contains($0.lastOffset) }
        removedAborted += removed
        abortedRemovals += 1
    }

    /// When each producer without an open transaction was last heard of.
    var idleSince: [Timestamp] {
        producers.values.filter { $0.transactionFirstOffset == nil }.map(\.lastTimestamp)
    }

    /// Forgets producers that have been silent since `horizon` and have no open transaction. If one of them repeats a
    /// batch after that, it is written again; Kafka's `producer.id.expiration.ms` has the same price.
    mutating func expire(idleSince horizon: Timestamp) {
        for (producerID, entry) in producers
        where entry.transactionFirstOffset == nil && entry.lastTimestamp <= horizon {
            producers[producerID] = nil
            changedProducers.insert(producerID)
        }
    }

    /// The rows that changed since the last call.
    mutating func drainChanges() -> Changes {
        var changes = Changes()
        for producerID in changedProducers.sorted() {
            if let entry = producers[producerID] {
                changes.producers.append(entry)
            } else {
                changes.removedProducers.append(producerID)
            }
        }
        changes.aborted = pendingAborted
        changes.removeAbortedBelow = removeAbortedBelow
        changes.removedAborted = removedAborted
        changedProducers.removeAll(keepingCapacity: true)
        pendingAborted.removeAll()
        removeAbortedBelow = nil
        removedAborted.removeAll()
        return changes
    }

    /// A newer epoch starts with a clean sequence; an older one never gets here.
    private func adopt(_ epoch: Int16, in entry: inout ProducerEntry) {
        guard epoch > entry.epoch else { return }
        entry.epoch = epoch
        entry.batches.removeAll()
    }

    /// The index of the first aborted transaction whose marker is at `offset` or behind it.
    private func firstAborted(endingAtOrAfter offset: Int64) -> Int {
        var low = 0
        var high = aborted.count
        while low < high {
            let middle = (low + high) / 2
            if aborted[middle].lastOffset < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
