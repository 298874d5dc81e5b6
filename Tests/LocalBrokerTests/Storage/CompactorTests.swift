import Testing

@testable import LocalBroker

@Suite("Compactor")
struct CompactorTests {
    /// Runs both passes over batches that follow one another from offset 0.
    private func compact(
        _ batches: [RecordBatch], aborted: [AbortedTransaction] = [], now: Int64 = 1_000, deleteRetention: Int64 = 500,
        horizons: [Int: Int64] = [:]
    ) -> [(action: Compactor.Action, kept: [TestRecord])] {
        var compactor = Compactor(aborted: aborted, now: now, deleteRetention: deleteRetention)
        var placed: [RecordBatch] = []
        for batch in batches {
            var batch = batch
            batch.assign(baseOffset: placed.last.map { $0.lastOffset + 1 } ?? 0)
            placed.append(batch)
            let hasRoom = compactor.note(batch.bytes)
            #expect(hasRoom)
        }
        return placed.enumerated().map { index, batch in
            let action = compactor.action(
                for: Compactor.StoredBatch(
                    rowID: Int64(index), maximumTimestamp: 0, deleteHorizon: horizons[index], bytes: batch.bytes))
            let remaining: [UInt8]? =
                switch action {
                case .keep, .setHorizon, .retire: batch.bytes
                case .replace(let bytes, _): bytes
                case .delete: nil
                }
            return (action, remaining.map { TestRecord.batches($0).flatMap(\.records) } ?? [])
        }
    }

    @Test("only the newest record of a key stays, at its offset")
    func newest() throws {
        let result = compact([
            .of([TestRecord("a", "1"), TestRecord("b", "1"), TestRecord("a", "2")]),
            .of([TestRecord("a", "3"), TestRecord("c", "1")]),
            .of([TestRecord("b", "2")]),
        ])
        #expect(result[0].action == .delete)
        #expect(result[1].action == .keep)
        #expect(result[2].kept == [TestRecord("b", "2", offset: 5)])
        let part = compact([.of([TestRecord("a", "1"), TestRecord("b", "1")]), .of([TestRecord("a", "2")])])
        #expect(part[0].kept == [TestRecord("b", "1", offset: 1)])
        guard case .replace(let bytes, _) = part[0].action else {
            Issue.record("the batch was not rewritten")
            return
        }
        let header = try #require(bytes.withUnsafeBytes { RecordBatchHeader($0) })
        #expect(header.baseOffset == 0 && header.lastOffset == 1 && header.recordCount == 1)
        #expect(bytes.withUnsafeBytes { RecordBatchHeader.checksum(ofBatch: $0) } == header.checksum)
    }

    @Test("a tombstone stays until its horizon")
    func tombstones() {
        let batches: [RecordBatch] = [.of([TestRecord("a", "1")]), .of([TestRecord("a", nil)])]
        let first = compact(batches)
        #expect(first[0].action == .delete)
        #expect(first[1].action == .setHorizon(1_500))
        #expect(compact(batches, now: 1_499, horizons: [1: 1_500])[1].action == .keep)
        #expect(compact(batches, now: 1_500, horizons: [1: 1_500])[1].action == .delete)
    }

    @Test("a compressed batch is kept, and so is every tombstone above it")
    func compressed() {
        let compressed = RecordBatch.of([TestRecord("a", "1")], attributes: 3)
        let result = compact([compressed, .of([TestRecord("a", nil)])], now: 2_000, horizons: [1: 1_500])
        #expect(result[0].action == .keep)
        #expect(result[1].action == .keep)
    }

    @Test("aborted records go and do not count as newest; commit markers go, abort markers later")
    func transactions() {
        let producer = ProducerIdentity(producerID: 7, epoch: 0)
        let result = compact(
            [
                .of([TestRecord("a", "committed")]),
                .of([TestRecord("a", "aborted")], producer: producer, sequence: 0, isTransactional: true),
                .marker(.abort, producer: producer, baseOffset: 0, timestamp: 0),
                .of([TestRecord("b", "committed")], producer: producer, sequence: 1, isTransactional: true),
                .marker(.commit, producer: producer, baseOffset: 0, timestamp: 0),
            ],
            aborted: [AbortedTransaction(producerID: 7, firstOffset: 1, lastOffset: 2, lastStableOffset: 3)])
        #expect(result.map(\.action) == [.keep, .delete, .setHorizon(1_500), .keep, .delete])
    }

    @Test("an abort marker is retired when its time has come, not before")
    func abortMarkers() {
        let marker = RecordBatch.marker(
            .abort, producer: ProducerIdentity(producerID: 7, epoch: 0), baseOffset: 0, timestamp: 0)
        #expect(compact([marker], now: 1_499, horizons: [0: 1_500])[0].action == .keep)
        #expect(compact([marker], now: 1_500, horizons: [0: 1_500])[0].action == .retire(markerOffset: 0))
    }

    @Test("an aborted compressed batch goes")
    func abortedCompressed() {
        let producer = ProducerIdentity(producerID: 7, epoch: 0)
        let result = compact(
            [.of([TestRecord("a", "1")], producer: producer, sequence: 0, isTransactional: true, attributes: 4)],
            aborted: [AbortedTransaction(producerID: 7, firstOffset: 0, lastOffset: 1, lastStableOffset: 2)])
        #expect(result[0].action == .delete)
    }

    @Test("records without a key stay")
    func withoutKey() {
        #expect(compact([.of("a"), .of("a")]).map(\.action) == [.keep, .keep])
    }

    @Test("the round ends where the memory for keys does")
    func bounded() {
        var compactor = Compactor(aborted: [], now: 0, deleteRetention: 0, maximumKeyBytes: 100)
        var noted = 0
        while compactor.note(RecordBatch.of([TestRecord("key \(noted)", "v")]).bytes) { noted += 1 }
        #expect(noted > 0 && noted < 4)
        #expect(compactor.isFull)
    }
}
