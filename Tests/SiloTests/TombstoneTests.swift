import EventLog
import OrchestraCore
import Records
import Synchronization
import Testing

@testable import Silo

/// Compaction drops tombstones after a time: who has not read them by then must not go on with what it has.
@Suite(.timeLimit(.minutes(1))) struct TombstoneTests {
    private static let start = ContinuousClock.now
    private static let retention = Duration.seconds(1_000)

    private func at(_ seconds: Int) -> ContinuousClock.Instant { TombstoneTests.start + .seconds(seconds) }

    private func makeWindow() -> TombstoneWindow {
        TombstoneWindow(retention: TombstoneTests.retention, start: TombstoneTests.start)
    }

    // MARK: The value

    @Test func aTenthOfTheRetentionIsLeft() {
        let window = makeWindow()
        #expect(!window.isOver(at: at(899)))
        #expect(window.isOver(at: at(900)))
    }

    @Test func theMomentCountsAtWhichTheEndWasAskedFor() {
        var window = makeWindow()
        window.read(to: 50, at: at(100))
        // The answer was on its way for 100 s, and it took 200 s more to read to it.
        window.answered(60, askedAt: at(200), at: at(300))
        #expect(window.isOver(at: at(900)), "it has not been reached")
        window.read(to: 59, at: at(400))
        #expect(window.isOver(at: at(900)))
        window.read(to: 60, at: at(500))
        #expect(!window.isOver(at: at(1_099)))
        #expect(window.isOver(at: at(1_100)))
    }

    @Test func whatWasReadTooLateStaysWorthless() {
        var window = makeWindow()
        window.answered(60, askedAt: at(800), at: at(800))
        window.read(to: 60, at: at(900))
        #expect(window.isOver(at: at(900)))
        window.answered(60, askedAt: at(901), at: at(901))
        #expect(window.isOver(at: at(901)))
    }

    @Test func whoIsAlwaysALittleBehindIsNotTooLate() {
        var window = makeWindow()
        // Asks each 200 s for the end, and has read to it 300 s later.
        for step in 1...20 {
            window.answered(Int64(10 * step), askedAt: at(200 * step), at: at(200 * step))
            window.read(to: Int64(10 * step - 15), at: at(200 * step))
            #expect(!window.isOver(at: at(200 * step + 199)))
        }
    }

    @Test func theTopicsOwnRetentionCounts() throws {
        let name = Topics.tombstoneRetentionName
        #expect(try Topics.tombstoneRetention(in: [name: "7200000"]) == .seconds(7_200))
        #expect(try Topics.tombstoneRetention(in: [:]) == .seconds(86_400), "what the silo sets")
        #expect(try Topics.tombstoneRetention(in: [name: String(Int64.max)]) == .seconds(365 * 86_400))
        let error = #expect(throws: OrchestraError.self) { try Topics.tombstoneRetention(in: [name: "59999"]) }
        #expect(error?.code == .badConfiguration)
    }

    @Test func aSiloDoesNotRunWithARetentionThatCannotBeKept() async throws {
        let silo = try Silo.inMemory(MemoryLog(), settings: [Topics.tombstoneRetentionName: "1000"])
        await expectCode(.badConfiguration) {
            // Nobody stops it: it must end by itself.
            try await silo.run(until: { try await Task.sleep(for: .seconds(60)) })
        }
    }

    // MARK: Followers

    /// A grain in the changelog, as somebody else has left it.
    private func write(_ bench: PartitionBench, _ key: String, _ state: String) throws {
        let record = GrainStateRecord(
            version: 1, committedAt: bench.clock.wall, codec: .json, state: Array(state.utf8))
        bench.log.append(
            ProducerRecord(
                topic: Topics.state, partition: 0, key: Array("counter/\(key)".utf8),
                value: try bench.codec.encode(record)))
    }

    private func grainCount(_ bench: PartitionBench) -> Int {
        bench.runtime.shared.withLock { $0.tail?.grainCount ?? $0.state.grains.count }
    }

    /// The grain is deleted, and compaction leaves neither its record nor the tombstone.
    private func deleteUnseen(_ bench: PartitionBench, recordAt offset: Int64) {
        bench.log.compactAway(Topics.state, 0, at: offset)
        bench.log.appendHidden(Topics.state, 0)
    }

    @Test func aStandbyThatSleptForTooLongBeginsAnew() async throws {
        let bench = try PartitionBench(isNominated: false)
        try write(bench, "a", #"{"total":1}"#)
        try await bench.serve { (bench: PartitionBench) async throws in
            try await eventually("it has read the grain") { grainCount(bench) == 1 }
            // As one that sleeps, and does not read on before it looks at its clock.
            bench.clock.advance(.seconds(30 * 3_600))
            deleteUnseen(bench, recordAt: 0)
            try await eventually("it does not know the grain any more") { grainCount(bench) == 0 }
            try await eventually("it follows") { bench.runtime.lifecycleState == .following }
            #expect(bench.log.changelogOpenings == 2)
            #expect(bench.budget.bytes == 0)
        }
    }

    @Test func whoReadsAChangelogSaysHowFarItHasCome() async throws {
        let bench = try PartitionBench(codec: TestCodec(needsFetching: true), isNominated: false)
        for key in ["a", "b", "c"] { try write(bench, key, #"{"total":1}"#) }
        bench.codec.isReachable = false
        try await bench.serve { (bench: PartitionBench) async throws in
            try await eventually("nothing is read") { bench.runtime.report(isNominated: false).unread == 3 }
            bench.codec.isReachable = true
            try await eventually("all is read") { grainCount(bench) == 3 }
            #expect(bench.runtime.report(isNominated: false).unread == nil)
        }
    }

    /// Nothing new in a partition is no reason to read it again.
    @Test func aStandbyOfAQuietPartitionKeepsWhatItHas() async throws {
        let bench = try PartitionBench(isNominated: false)
        try write(bench, "a", #"{"total":1}"#)
        let questions = Locked(0)
        bench.log.setQuestion { questions.use { $0 += 1 } }
        try await bench.serve { (bench: PartitionBench) async throws in
            try await eventually("it has read the grain") { grainCount(bench) == 1 }
            for hours in 1...20 {
                let before = questions.value
                bench.clock.advance(.seconds(6 * 3_600))
                try await eventually("it has asked for the end \(hours) times") { questions.value > before }
            }
            #expect(bench.log.changelogOpenings == 1)
            #expect(grainCount(bench) == 1)
        }
    }

    /// The clock jumps while it waits for a rival: neither a look nor a page comes in between.
    @Test func whoWakesUpAsTheNomineeBeginsAnew() async throws {
        let isReleased = Locked(false)
        let bench = try PartitionBench(
            succession: TestSuccession { _ in isReleased.value ? .released : nil })
        let claim = PartitionClaim(
            silo: "silo-0", generation: 1, transactionalId: "silo-0", claimedAt: bench.clock.wall)
        try write(bench, "a", #"{"total":1}"#)
        bench.log.append(
            ProducerRecord(
                topic: Topics.state, partition: 0, key: ChangelogKey.claim(silo: claim.silo).bytes,
                value: try bench.codec.encode(claim)))
        bench.log.append(try progress(bench))
        try await bench.serve { (bench: PartitionBench) async throws in
            try await eventually("it asks its rival") { bench.runtime.lifecycleState == .clearing }
            bench.clock.advance(.seconds(30 * 3_600))
            deleteUnseen(bench, recordAt: 0)
            isReleased.use { $0 = true }
            try await bench.idle()
            await expectCode(.notFound) { _ = try await bench.total("a") }
        }
    }

    @Test func aRestoreThatTakesTooLongBeginsAnew() async throws {
        let bench = try PartitionBench()
        try write(bench, "a", #"{"total":1}"#)
        bench.log.append(try progress(bench))
        let isSlow = Locked(true)
        // While it restores, and has claimed the partition.
        bench.log.setQuestion {
            guard bench.runtime.lifecycleState == .restoring,
                isSlow.use({ isSlow in
                    defer { isSlow = false }
                    return isSlow
                })
            else { return }
            bench.clock.advance(.seconds(30 * 3_600))
            bench.log.compactAway(Topics.state, 0, at: 0)
        }
        try await bench.serve { (bench: PartitionBench) async throws in
            try await bench.idle()
            await expectCode(.notFound) { _ = try await bench.total("a") }
            #expect(!isSlow.value)
            #expect(bench.log.changelogOpenings == 2)
        }
    }

    private func progress(_ bench: PartitionBench) throws -> ProducerRecord {
        let progress = PartitionProgress(sequence: 1, nextOffsets: [:], lastTime: bench.clock.wall)
        return ProducerRecord(
            topic: Topics.state, partition: 0, key: ChangelogKey.progress.bytes, value: try bench.codec.encode(progress)
        )
    }
}
