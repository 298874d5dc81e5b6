import OrchestraCore

// The check of one partition's log, without I/O: batch after batch in the order of offsets, then the rows that were
// kept beside the log.
//
// Below `compactedOffset` compaction has been: there records, whole batches and markers may be missing, and every
// transaction was complete. From there on the log must be dense, and what it says about transactions must be what the
// producer rows and the aborted list say.
//
/// Compares one partition's batches with themselves and with the rows beside them.
struct PartitionCheck {
    /// A row of the table `batch`.
    struct Row {
        var id: Int64
        var baseOffset: Int64
        var lastOffset: Int64
        var maximumTimestamp: Int64
        var size: Int64
        var attributes: Int16
        var producerID: Int64
        var producerEpoch: Int16
        var baseSequence: Int32
        var bytes: [UInt8]
    }

    /// What the log says about a producer.
    private struct Seen {
        var epoch: Int16
        /// The last offset of its newest batch with data.
        var lastOffset: Int64
        var openSince: Int64?
    }

    let partition: StoredPartition
    let place: String
    private var previousLastOffset: Int64?
    private var seen: [Int64: Seen] = [:]
    /// Aborted transactions as the log from `compactedOffset` on shows them, by the offset of their marker.
    private var aborted: [Int64: AbortedTransaction] = [:]
    /// The abort markers below `compactedOffset`.
    private var oldMarkers: Set<Int64> = []
    private var hasBrokenBatch = false
    private(set) var recordCount = 0
    private(set) var batchCount = 0
    private(set) var byteCount: Int64 = 0

    init(_ partition: StoredPartition, topic: String) {
        self.partition = partition
        place = "topic \(topic), partition \(partition.number)"
    }

    /// The offset after the last record.
    var endOffset: Int64 { max(previousLastOffset.map { $0 + 1 } ?? 0, partition.nextOffset) }

    // MARK: The log

    mutating func add(_ row: Row, to report: inout BrokerCheckReport) {
        batchCount += 1
        byteCount += Int64(row.bytes.count)
        let place = "\(place), offset \(row.baseOffset)"
        checkOrder(row, place, &report)
        previousLastOffset = max(previousLastOffset ?? row.lastOffset, row.lastOffset)
        let problem = row.bytes.withUnsafeBytes { Self.problem(of: row, $0, isCompacted: isCompacted(row)) }
        if let problem {
            hasBrokenBatch = true
            report.add(place, problem, nextStep: CheckAdvice.dropRecords)
        } else if let header = row.bytes.withUnsafeBytes({ RecordBatchHeader($0) }) {
            recordCount += Int(header.recordCount)
            follow(row, header)
        }
    }

    private func isCompacted(_ row: Row) -> Bool { row.lastOffset < partition.compactedOffset }

    private func checkOrder(_ row: Row, _ place: String, _ report: inout BrokerCheckReport) {
        guard row.lastOffset >= row.baseOffset else {
            return report.add(
                place, "the batch ends at \(row.lastOffset), before it begins", nextStep: CheckAdvice.report)
        }
        let expected = previousLastOffset.map { $0 + 1 } ?? min(partition.logStartOffset, row.baseOffset)
        if row.baseOffset < expected {
            report.add(
                place, "the batch overlaps the one before, which ends at \(expected - 1)",
                nextStep: CheckAdvice.dropTopic)
        } else if row.baseOffset > expected, row.baseOffset > max(partition.compactedOffset, partition.logStartOffset) {
            let first = max(expected, partition.compactedOffset, partition.logStartOffset)
            report.add(
                place, "the records from offset \(first) to \(row.baseOffset - 1) are missing",
                nextStep: CheckAdvice.restore)
        }
    }

    /// Why a batch is not what its row says or what a batch must be; nil if it is.
    private static func problem(of row: Row, _ bytes: UnsafeRawBufferPointer, isCompacted: Bool) -> String? {
        guard let header = RecordBatchHeader(bytes), header.magic == 2 else {
            return "\(bytes.count) bytes are no record batch"
        }
        guard header.byteCount == bytes.count, Int64(bytes.count) == row.size else {
            return "the batch has \(bytes.count) bytes, claims \(header.byteCount), and its row \(row.size)"
        }
        guard RecordBatchHeader.checksum(ofBatch: bytes) == header.checksum else {
            return "the checksum of the batch is wrong: its records are damaged"
        }
        guard
            header.baseOffset == row.baseOffset, header.lastOffset == row.lastOffset,
            header.maximumTimestamp == row.maximumTimestamp, header.attributes == row.attributes,
            header.producerID == row.producerID, header.producerEpoch == row.producerEpoch,
            header.baseSequence == row.baseSequence
        else { return "the batch's header and its row disagree" }
        guard isCompacted || header.recordCount == header.lastOffsetDelta + 1 else {
            return "the batch has \(header.recordCount) records for \(header.lastOffsetDelta + 1) offsets"
        }
        return header.isCompressed ? nil : recordProblem(header, bytes)
    }

    private static func recordProblem(_ header: RecordBatchHeader, _ bytes: UnsafeRawBufferPointer) -> String? {
        var reader = RecordReader(batch: bytes)
        var previous: Int32 = -1
        for index in 0..<max(0, header.recordCount) {
            guard let record = reader.next() else { return "record \(index) of the batch cannot be read" }
            guard record.offsetDelta > previous, record.offsetDelta <= header.lastOffsetDelta else {
                return "record \(index) of the batch has offset \(header.baseOffset + Int64(record.offsetDelta))"
            }
            previous = record.offsetDelta
        }
        return reader.isAtEnd ? nil : "bytes follow the \(header.recordCount) records of the batch"
    }

    // MARK: Producers and transactions

    private mutating func follow(_ row: Row, _ header: RecordBatchHeader) {
        guard header.producerID >= 0 else { return }
        if header.isControl {
            followMarker(row, header)
            return
        }
        var producer =
            seen[header.producerID] ?? Seen(epoch: header.producerEpoch, lastOffset: header.lastOffset, openSince: nil)
        producer.epoch = max(producer.epoch, header.producerEpoch)
        producer.lastOffset = header.lastOffset
        if header.isTransactional, header.lastOffset >= partition.compactedOffset, producer.openSince == nil {
            producer.openSince = header.baseOffset
        }
        seen[header.producerID] = producer
    }

    private mutating func followMarker(_ row: Row, _ header: RecordBatchHeader) {
        let outcome = row.bytes.withUnsafeBytes { TransactionOutcome(marker: $0) }
        if isCompacted(row) {
            if outcome == .abort { oldMarkers.insert(row.baseOffset) }
            return
        }
        let openSince = seen[header.producerID]?.openSince
        seen[header.producerID]?.openSince = nil
        let epoch = seen[header.producerID]?.epoch ?? header.producerEpoch
        seen[header.producerID]?.epoch = max(epoch, header.producerEpoch)
        guard outcome == .abort else { return }
        if let openSince {
            aborted[row.baseOffset] = AbortedTransaction(
                producerID: header.producerID, firstOffset: openSince, lastOffset: row.baseOffset, lastStableOffset: 0)
        } else {
            // Its records lie below `compactedOffset`, or there were none.
            oldMarkers.insert(row.baseOffset)
        }
    }

    /// Compares the log with what is stored beside it.
    ///
    /// - Returns: producer id → where its transaction in this partition is open since.
    func finish(
        producers: [ProducerEntry], aborted rows: [AbortedTransaction], _ report: inout BrokerCheckReport
    ) -> [Int64: Int64] {
        checkEnds(&report)
        // After a broken batch the log does not tell what its producers have done.
        guard !hasBrokenBatch else { return [:] }
        checkAborted(rows, &report)
        var open: [Int64: Int64] = [:]
        for entry in producers {
            if let first = entry.transactionFirstOffset { open[entry.producerID] = first }
            check(entry, &report)
        }
        let known = Set(producers.map(\.producerID))
        for (producerID, producer) in seen.sorted(by: { $0.key < $1.key }) where !known.contains(producerID) {
            guard let first = producer.openSince else { continue }
            report.add(
                place,
                "the log holds an open transaction of producer \(producerID) from offset \(first) on, which is stored nowhere: "
                    + "readers would see it as committed", nextStep: CheckAdvice.restore)
        }
        return open
    }

    private func checkEnds(_ report: inout BrokerCheckReport) {
        let end = previousLastOffset.map { $0 + 1 } ?? 0
        if partition.nextOffset > end, partition.logStartOffset < partition.nextOffset {
            report.add(
                place,
                "the log ended at \(partition.nextOffset), but its batches end at \(end): the newest are missing",
                nextStep: CheckAdvice.restore)
        }
        if partition.logStartOffset > max(end, partition.nextOffset) {
            report.add(
                place, "the log starts at \(partition.logStartOffset), after its end \(max(end, partition.nextOffset))",
                nextStep: CheckAdvice.restore)
        }
    }

    private func check(_ entry: ProducerEntry, _ report: inout BrokerCheckReport) {
        let log = seen[entry.producerID]
        if let epoch = log?.epoch, epoch > entry.epoch {
            report.add(
                place,
                "producer \(entry.producerID) wrote with epoch \(epoch), but is stored with \(entry.epoch): "
                    + "a fenced producer could write", nextStep: CheckAdvice.restore)
        }
        if let last = entry.batches.last?.lastOffset {
            if last >= endOffset {
                report.add(
                    place,
                    "producer \(entry.producerID) is stored with a batch up to offset \(last), but the log ends at "
                        + "\(endOffset): acknowledged records are missing", nextStep: CheckAdvice.restore)
            } else if let written = log?.lastOffset, written > last {
                report.add(
                    place,
                    "producer \(entry.producerID) wrote up to offset \(written), but is stored with \(last): "
                        + "it could write the same records twice", nextStep: CheckAdvice.restore)
            }
        }
        let logOpen = log?.openSince.map { max($0, partition.logStartOffset) }
        switch (entry.transactionFirstOffset, logOpen) {
        case (let stored?, nil) where stored >= partition.logStartOffset && stored < endOffset:
            // Its records may have been deleted with all before the log's start.
            guard stored > partition.logStartOffset else { return }
            report.add(
                place,
                "producer \(entry.producerID) is stored with an open transaction from offset \(stored) on, but the log holds "
                    + "none: readers of committed records stop there", nextStep: CheckAdvice.restore)
        case (nil, let first?):
            report.add(
                place,
                "the log holds an open transaction of producer \(entry.producerID) from offset \(first) on, which is "
                    + "stored as ended: readers would see it as committed", nextStep: CheckAdvice.restore)
        case (let stored?, let first?) where stored > first:
            report.add(
                place,
                "the open transaction of producer \(entry.producerID) begins at offset \(first), but is stored from "
                    + "\(stored) on: readers would see its first records as committed", nextStep: CheckAdvice.restore)
        default: break
        }
    }

    private func checkAborted(_ rows: [AbortedTransaction], _ report: inout BrokerCheckReport) {
        let stored = Dictionary(rows.map { ($0.lastOffset, $0) }, uniquingKeysWith: { first, _ in first })
        for (offset, transaction) in aborted.sorted(by: { $0.key < $1.key }) where offset >= partition.logStartOffset {
            guard let row = stored[offset], row.producerID == transaction.producerID,
                row.firstOffset <= transaction.firstOffset
            else {
                report.add(
                    place,
                    "the transaction of producer \(transaction.producerID) from offset \(transaction.firstOffset) on, aborted at "
                        + "\(offset), is missing from the aborted list: readers would see it as committed",
                    nextStep: CheckAdvice.restore)
                continue
            }
        }
        for row in rows where row.lastOffset >= partition.logStartOffset {
            guard aborted[row.lastOffset] == nil, !oldMarkers.contains(row.lastOffset) else { continue }
            report.add(
                place,
                "the aborted list names a transaction of producer \(row.producerID) up to offset \(row.lastOffset), where there is "
                    + "no marker: readers would skip committed records", nextStep: CheckAdvice.restore)
        }
    }
}
