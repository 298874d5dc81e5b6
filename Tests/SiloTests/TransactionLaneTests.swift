import EventLog
import Logging
import OrchestraCore
import Testing

@testable import Silo

/// One transaction for the batches of many partitions.
@Suite(.timeLimit(.minutes(1))) struct TransactionLaneTests {
    private final class Bench: Sendable {
        let log = MemoryLog()
        let clock = TestClock()
        let lane: TransactionLane
        let endings = Locked<[EventLogError]>([])
        let committed = Locked<[TransactionBatch]>([])

        init() {
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let (log, committed) = (log, committed)
            lane = TransactionLane(logger: logger, didCommit: { batch in committed.use { $0.append(batch) } }) {
                log.makeProducer("silo-1")
            }
            let endings = endings
            lane.onEndOfLife { error in endings.use { $0.append(error) } }
        }

        /// Runs the lane while `body` runs.
        func run(_ body: (Bench) async throws -> Void) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.lane.run() }
                do { try await body(self) } catch {
                    await lane.end()
                    throw error
                }
                await lane.end()
                try await group.waitForAll()
            }
        }

        func sink() async throws -> any TransactionSink {
            let sink = lane.makeSink()
            try await sink.initialize(timeout: .seconds(1))
            return sink
        }

        func batch(_ partition: Int32, _ text: String = "x", offset: Int64? = nil) -> TransactionBatch {
            let record = ProducerRecord(topic: "t", partition: partition, key: nil, value: Array(text.utf8))
            let place = TopicPartition(topic: "in", partition: partition)
            return TransactionBatch(records: [record], offsets: offset.map { [place: $0] } ?? [:])
        }

        /// The errors of batches that are queued behind one that has begun, and so share a transaction.
        func commitTogether(
            _ sinks: [any TransactionSink], text: (Int) -> String = { _ in "x" }, release: () -> Void = {}
        ) async throws -> [EventLogError.Kind?] {
            log.blockCommits(true)
            let blocker = try await sink()
            async let first: Void = blocker.commit(batch(99))
            try await eventually("a transaction has begun") { self.log.blockedCommits == 1 }
            let outcomes = Locked<[Int: EventLogError.Kind?]>([:])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, sink) in sinks.enumerated() {
                    let batch = batch(Int32(index), text(index))
                    group.addTask {
                        do throws(EventLogError) {
                            try await sink.commit(batch)
                            outcomes.use { $0[index] = .some(nil) }
                        } catch {
                            outcomes.use { $0[index] = error.kind }
                        }
                    }
                }
                try await eventually("the others wait") { self.lane.queuedCommits == sinks.count }
                release()
                log.blockCommits(false)
                try await group.waitForAll()
            }
            try await first
            return sinks.indices.map { outcomes.value[$0] ?? nil }
        }
    }

    @Test func whatWaitsSharesATransaction() async throws {
        try await Bench().run { bench in
            var sinks: [any TransactionSink] = []
            for _ in 0..<8 { sinks.append(try await bench.sink()) }
            let outcomes = try await bench.commitTogether(sinks)
            #expect(outcomes.allSatisfy { $0 == nil })
            #expect(bench.log.commits.map(\.records.count) == [1, 8])
        }
    }

    @Test func allPartitionsJoinOneLife() async throws {
        let bench = Bench()
        try await bench.run { bench in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 { group.addTask { _ = try await bench.sink() } }
                try await group.waitForAll()
            }
            #expect(bench.log.epoch(of: "silo-1") == 1, "one initialisation")
        }
    }

    @Test func onlyThePartitionWithTheCulpritHearsOfIt() async throws {
        try await Bench().run { bench in
            var sinks: [any TransactionSink] = []
            for _ in 0..<5 { sinks.append(try await bench.sink()) }
            bench.log.setPoison { $0.value == Array("poison".utf8) }
            let outcomes = try await bench.commitTogether(sinks, text: { $0 == 3 ? "poison" : "x" })
            #expect(outcomes == [nil, nil, nil, .abortable, nil])
            #expect(bench.log.records("t").count { $0.value == Array("poison".utf8) } == 0)
            #expect(bench.endings.value.isEmpty)
        }
    }

    @Test func troubleWithTheNetworkIsEverybodys() async throws {
        try await Bench().run { bench in
            var sinks: [any TransactionSink] = []
            for _ in 0..<3 { sinks.append(try await bench.sink()) }
            // The first transaction is already on its way, so the fault is the second's.
            let outcomes = try await bench.commitTogether(
                sinks, release: { bench.log.inject(.none, .abort(name: "_TRANSPORT")) })
            #expect(outcomes == [.abortable, .abortable, .abortable])
            try await sinks[0].commit(bench.batch(0))
        }
    }

    @Test func anUnknownOutcomeEndsTheLifeForAll() async throws {
        try await Bench().run { bench in
            let (one, two) = (try await bench.sink(), try await bench.sink())
            bench.log.inject(.commitThenUnknown)
            await expect(.outcomeUnknown) { try await one.commit(bench.batch(1)) }
            await expect(.fenced, "it has not joined the next life") { try await two.commit(bench.batch(2)) }
            #expect(bench.endings.value.count == 1)
            try await one.initialize(timeout: .seconds(1))
            try await one.commit(bench.batch(1))
            await expect(.fenced, "the other's joining does not count") { try await two.commit(bench.batch(2)) }
            try await two.initialize(timeout: .seconds(1))
            try await two.commit(bench.batch(2))
            #expect(bench.log.epoch(of: "silo-1") == 2)
        }
    }

    @Test func fencedByARivalTheLifeEndsAndWhatWaitsIsNotCommitted() async throws {
        try await Bench().run { bench in
            let (one, two) = (try await bench.sink(), try await bench.sink())
            bench.log.blockCommits(true)
            async let first = kind { try await one.commit(bench.batch(0)) }
            try await eventually("a transaction has begun") { bench.log.blockedCommits == 1 }
            async let second = kind { try await two.commit(bench.batch(1)) }
            try await eventually("the other waits") { bench.lane.queuedCommits == 1 }
            bench.log.fence("silo-1")
            bench.log.blockCommits(false)
            #expect(await first == .fenced)
            #expect(await second == .fenced)
            #expect(bench.log.records("t").isEmpty)
        }
    }

    @Test func whatHasCommittedIsToldWithItsPositions() async throws {
        try await Bench().run { bench in
            let (one, two) = (try await bench.sink(), try await bench.sink())
            try await one.commit(bench.batch(1, offset: 10))
            try await two.commit(bench.batch(2, offset: 20))
            #expect(bench.committed.value.map(\.offsets) == [[place(1): 10], [place(2): 20]])
            bench.log.fence("silo-1")
            #expect(await kind { try await two.commit(bench.batch(2, offset: 21)) } == .fenced)
            #expect(bench.committed.value.count == 2)
        }
    }

    @Test func afterTheEndNothingIsCommitted() async throws {
        let bench = Bench()
        let sink = bench.lane.makeSink()
        try await bench.run { bench in
            try await sink.initialize(timeout: .seconds(1))
            try await sink.commit(bench.batch(1))
        }
        await expect(.fenced) { try await sink.commit(bench.batch(1)) }
        await expect(.closed) { try await sink.initialize(timeout: .seconds(1)) }
    }

    private func place(_ partition: Int32) -> TopicPartition { TopicPartition(topic: "in", partition: partition) }

    private func expect(
        _ expected: EventLogError.Kind, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () async throws -> Void
    ) async {
        let actual = await kind(body)
        #expect(actual == expected, comment, sourceLocation: sourceLocation)
    }

    private func kind(_ body: () async throws -> Void) async -> EventLogError.Kind? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? EventLogError)?.kind
        }
    }
}
