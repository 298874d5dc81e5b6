import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("ProducerLedger")
struct ProducerLedgerTests {
    let now = Timestamp(millisecondsSinceEpoch: 1_000)
    let producer = ProducerIdentity(producerID: 7, epoch: 3)

    func batch(
        _ baseSequence: Int32, count: Int32 = 1, epoch: Int16 = 3, transactional: Bool = false, producerID: Int64 = 7
    ) -> ProducedBatch {
        ProducedBatch(
            producer: ProducerIdentity(producerID: producerID, epoch: epoch), baseSequence: baseSequence,
            recordCount: count, isTransactional: transactional)
    }

    @Test("a batch that continues the sequence is written, one that leaves a gap is refused")
    func sequence() {
        var ledger = ProducerLedger()
        #expect(ledger.check(batch(0, count: 3)) == .append)
        ledger.append(batch(0, count: 3), baseOffset: 100, now: now)
        #expect(ledger.check(batch(3)) == .append)
        #expect(ledger.check(batch(4)) == .refuse(.outOfOrderSequenceNumber))
        #expect(ledger.check(batch(2)) == .refuse(.outOfOrderSequenceNumber))
    }

    @Test("the last five batches are recognised and answered with their old offsets, older ones are out of order")
    func duplicates() {
        var ledger = ProducerLedger()
        for sequence in 0..<6 {
            ledger.append(batch(Int32(sequence)), baseOffset: 10 + Int64(sequence), now: now)
        }
        for sequence in 1..<6 {
            let verdict = ledger.check(batch(Int32(sequence)))
            #expect(verdict == .duplicate(baseOffset: 10 + Int64(sequence), appendTime: now))
        }
        #expect(ledger.check(batch(0)) == .refuse(.outOfOrderSequenceNumber))
        // Same start, other length: no duplicate.
        #expect(ledger.check(batch(5, count: 2)) == .refuse(.outOfOrderSequenceNumber))
    }

    @Test("an older epoch is fenced; a newer one starts at sequence 0 and forgets the old batches")
    func epochs() {
        var ledger = ProducerLedger()
        ledger.append(batch(0), baseOffset: 0, now: now)
        #expect(ledger.check(batch(1, epoch: 2)) == .refuse(.invalidProducerEpoch))
        #expect(ledger.check(batch(1, epoch: 4)) == .refuse(.outOfOrderSequenceNumber))
        #expect(ledger.check(batch(0, epoch: 4)) == .append)
        ledger.append(batch(0, epoch: 4), baseOffset: 1, now: now)
        #expect(ledger.check(batch(0, epoch: 4)) == .duplicate(baseOffset: 1, appendTime: now))
        #expect(ledger.check(batch(0)) == .refuse(.invalidProducerEpoch))
    }

    @Test("sequences wrap from the largest number to 0, also inside a batch")
    func wrapAround() {
        var ledger = ProducerLedger()
        #expect(ledger.check(batch(.max - 1)) == .append)  // An unknown producer may start anywhere.
        ledger.append(batch(.max - 1), baseOffset: 0, now: now)
        let wrapping = batch(.max, count: 3)
        #expect(wrapping.lastSequence == 1)
        #expect(ledger.check(wrapping) == .append)
        ledger.append(wrapping, baseOffset: 1, now: now)
        #expect(ledger.check(wrapping) == .duplicate(baseOffset: 1, appendTime: now))
        #expect(ledger.check(batch(2)) == .append)
        #expect(ledger.check(batch(0)) == .refuse(.outOfOrderSequenceNumber))
    }

    @Test("malformed numbers are refused, not trapped on", arguments: [(-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, -5)])
    func malformed(epoch: Int, sequence: Int, count: Int) {
        let ledger = ProducerLedger()
        let verdict = ledger.check(batch(Int32(sequence), count: Int32(count), epoch: Int16(epoch)))
        #expect(verdict == .refuse(.invalidRecord))
    }

    @Test("an open transaction holds the last stable offset until its marker; data outside it is refused meanwhile")
    func lastStableOffset() {
        var ledger = ProducerLedger()
        #expect(ledger.lastStableOffset(logEndOffset: 5) == 5)
        ledger.append(batch(0, transactional: true), baseOffset: 5, now: now)
        ledger.append(batch(0, transactional: true, producerID: 8), baseOffset: 6, now: now)
        #expect(ledger.lastStableOffset(logEndOffset: 7) == 5)
        #expect(ledger.check(batch(1)) == .refuse(.invalidTransactionState))
        ledger.complete(producer, outcome: .commit, markerOffset: 7, now: now)
        #expect(ledger.lastStableOffset(logEndOffset: 8) == 6)
        ledger.complete(
            ProducerIdentity(producerID: 8, epoch: 3), outcome: .abort, markerOffset: 8, now: now)
        #expect(ledger.lastStableOffset(logEndOffset: 9) == 9)
    }

    @Test("a fetch lists aborted transactions that end at or behind its offset and start below its bound, no others")
    func abortedIndex() {
        var ledger = ProducerLedger()
        // Producer 7: data 0, marker 1 (aborted); data 2, marker 3 (committed); data 4, marker 5 (aborted).
        ledger.append(batch(0, transactional: true), baseOffset: 0, now: now)
        ledger.complete(producer, outcome: .abort, markerOffset: 1, now: now)
        ledger.append(batch(1, transactional: true), baseOffset: 2, now: now)
        ledger.complete(producer, outcome: .commit, markerOffset: 3, now: now)
        ledger.append(batch(2, transactional: true), baseOffset: 4, now: now)
        ledger.complete(producer, outcome: .abort, markerOffset: 5, now: now)
        func first(_ fetchOffset: Int64, _ bound: Int64) -> [Int64] {
            ledger.abortedTransactions(fetchOffset: fetchOffset, upperBound: bound).map(\.firstOffset)
        }
        #expect(first(0, 6) == [0, 4])
        #expect(first(1, 6) == [0, 4])
        #expect(first(2, 6) == [4])
        #expect(first(2, 4) == [])
        #expect(first(6, 6) == [])
    }

    @Test("a marker with a higher epoch fences the producer whose transaction it ends")
    func fencingMarker() {
        var ledger = ProducerLedger()
        ledger.append(batch(0, transactional: true), baseOffset: 0, now: now)
        let aborted = ledger.complete(
            ProducerIdentity(producerID: 7, epoch: 4), outcome: .abort, markerOffset: 1, now: now)
        #expect(aborted?.firstOffset == 0)
        #expect(ledger.check(batch(1, transactional: true)) == .refuse(.invalidProducerEpoch))
    }

    @Test("a ledger restored from its rows is the same ledger; a drain gives each row once")
    func restore() {
        var ledger = ProducerLedger()
        for sequence in 0..<9 {
            ledger.append(batch(Int32(sequence), transactional: true), baseOffset: Int64(sequence), now: now)
        }
        ledger.complete(producer, outcome: .abort, markerOffset: 9, now: now)
        ledger.append(batch(0, transactional: true, producerID: 9), baseOffset: 10, now: now)
        let changes = ledger.drainChanges()
        #expect(changes.producers.map(\.producerID) == [7, 9])
        #expect(changes.producers[0].batches.count == SequencedBatch.remembered)
        #expect(ledger.drainChanges().isEmpty)

        let restored = ProducerLedger(producers: changes.producers, aborted: changes.aborted)
        #expect(restored.producers == ledger.producers)
        #expect(restored.aborted == ledger.aborted)
        #expect(restored.lastStableOffset(logEndOffset: 11) == 10)
        #expect(restored.check(batch(8, transactional: true)) == .duplicate(baseOffset: 8, appendTime: now))
    }

    @Test("silent producers are forgotten after the retention, not while their transaction is open")
    func expiry() {
        var ledger = ProducerLedger()
        ledger.append(batch(0), baseOffset: 0, now: now)
        ledger.append(batch(0, transactional: true, producerID: 8), baseOffset: 1, now: now)
        _ = ledger.drainChanges()
        ledger.expire(idleSince: now.advanced(by: .seconds(-1)))
        #expect(ledger.drainChanges().isEmpty)
        ledger.expire(idleSince: now)
        #expect(ledger.drainChanges().removedProducers == [7])
        #expect(ledger.producers.keys.sorted() == [8])
    }

    @Test("raising the log start drops what lies below it and never lets the last stable offset lie below")
    func truncation() {
        var ledger = ProducerLedger()
        ledger.append(batch(0, transactional: true), baseOffset: 0, now: now)
        ledger.complete(producer, outcome: .abort, markerOffset: 1, now: now)
        ledger.append(batch(1, transactional: true), baseOffset: 2, now: now)
        _ = ledger.drainChanges()
        ledger.truncate(before: 3)
        let changes = ledger.drainChanges()
        #expect(changes.removeAbortedBelow == 3)
        #expect(ledger.aborted.isEmpty)
        #expect(ledger.lastStableOffset(logEndOffset: 4) == 3)
    }
}
