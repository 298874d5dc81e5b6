import EventLog
import Logging
import OrchestraCore
import Placement
import Records
import SeededRandom
import Testing

@testable import Silo

/// How partitions change hands: see `PartitionClaims`.
@Suite(.timeLimit(.minutes(2))) struct TakeoverTests {
    private func claimKeys(_ log: MemoryLog) -> [(silo: String, isDeleted: Bool)] {
        log.records(Topics.state).compactMap { record in
            guard case .claim(let silo) = ChangelogKey(record.key ?? []) else { return nil }
            return (silo, record.value == nil)
        }
    }

    @Test func aPartitionGivenBackInOrderNeedsNoFencing() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        try await PartitionBench(log: log, codec: codec, nodeID: "silo-1").serve { bench in
            _ = try await bench.grain("a").send(Add(amount: 1))
        }
        try await PartitionBench(log: log, codec: codec, nodeID: "silo-2").serve {
            (bench: PartitionBench) async throws in
            #expect(try await bench.total("a") == 1)
        }
        #expect(log.epoch(of: "silo-1") == 1, "nobody else has initialised its id")
        let keys = claimKeys(log)
        #expect(keys.map(\.silo) == ["silo-1", "silo-1", "silo-2", "silo-2"])
        #expect(keys.map(\.isDeleted) == [false, true, false, true])
    }

    @Test func whoHasLeftAClaimIsFencedBeforeTheEndIsLookedUp() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        // Two silos that died with their claims, one of them in the middle of claiming.
        for silo in ["silo-1", "silo-3"] {
            let claim = PartitionClaim(
                silo: silo, generation: 1, transactionalId: silo, claimedAt: Timestamp(millisecondsSinceEpoch: 0))
            log.append(
                ProducerRecord(
                    topic: Topics.state, partition: 0, key: ChangelogKey.claim(silo: silo).bytes,
                    value: try codec.encode(claim)))
        }
        try await PartitionBench(log: log, codec: codec, nodeID: "silo-2").serve { bench in
            try await bench.idle()
            #expect(log.epoch(of: "silo-1") == 1)
            #expect(log.epoch(of: "silo-3") == 1)
        }
        let deleted = claimKeys(log).filter(\.isDeleted).map(\.silo)
        #expect(Set(deleted) == ["silo-1", "silo-2", "silo-3"])
    }

    /// What is being restored belongs to the life in which it was claimed.
    @Test func aLifeThatEndsDuringTheRestoreIsNotServedIn() async throws {
        let log = MemoryLog()
        let isAsked = Locked(false)
        let mayGoOn = Locked(false)
        let rival = PartitionClaim(
            silo: "silo-0", generation: 1, transactionalId: "silo-0", claimedAt: Timestamp(millisecondsSinceEpoch: 0))
        let bench = try PartitionBench(
            log: log,
            succession: TestSuccession { _ in
                isAsked.use { $0 = true }
                while !mayGoOn.value, !Task.isCancelled { await Task.yield() }
                return .released
            })
        log.blockCommits(true)
        try await bench.serve { bench in
            try await eventually("it claims") { log.blockedCommits == 1 }
            // A rival that appears while the claim is made is cleared when the partition is restored.
            try log.append(
                ProducerRecord(
                    topic: Topics.state, partition: 0, key: ChangelogKey.claim(silo: rival.silo).bytes,
                    value: bench.codec.encode(rival)))
            log.blockCommits(false)
            try await eventually("it restores") { isAsked.value && bench.runtime.lifecycleState == .restoring }
            #expect(claimKeys(log).count { $0.silo == "silo-1" } == 1)
            bench.runtime.endLife(.closed("the life has ended"))
            mayGoOn.use { $0 = true }
            try await bench.idle()
            let own = claimKeys(log).filter { $0.silo == "silo-1" }
            #expect(own.map(\.isDeleted) == [false, false], "it is claimed anew before it is served")
        }
    }

    /// The deletion of a rival's claim may be on its way: if that one claims anew, it must not be hit.
    @Test func aTakeoverThatIsGivenUpIsReleasedWhenItCommitsNothingMore() async throws {
        let bench = try PartitionBench()
        bench.log.blockCommits(true)
        var configuration = SiloConfiguration(
            nodeID: "silo-1", generation: 1, kafka: KafkaConfiguration(bootstrapServers: "nowhere:1", clientID: "test"))
        configuration.partitionCount = 1
        var liveness = SiloLiveness(start: .now)
        for silo in ["silo-1", "silo-2"] { liveness.hear(silo, at: .now) }
        let partitions = SiloPartitions(
            configuration, logger: bench.runtime.logger, liveness: { [liveness] in liveness },
            canCommit: { true }, proveEpoch: { true }, make: { _ in bench.runtime })
        // Tasks, because both go on while the test looks at what they do.
        let running = Task { await partitions.run() }
        partitions.follow(SiloView(version: 1, silos: [SiloView.Silo(id: "silo-1", generation: 1)]))
        try await eventually("it claims") { bench.log.blockedCommits == 1 }
        partitions.follow(SiloView(version: 2, silos: [SiloView.Silo(id: "silo-2", generation: 1)]))
        let isReleased = Locked(false)
        let release = Task {
            while await !partitions.release(ReleaseRequest(partition: 0, nominee: "silo-2")) { await Task.yield() }
            isReleased.use { $0 = true }
        }
        // As long as it takes whoever does not wait.
        for _ in 0..<1_000 { await Task.yield() }
        #expect(!isReleased.value)
        bench.log.blockCommits(false)
        await release.value
        partitions.close()
        await running.value
    }

    @Test func aClaimOfALaterRivalIsFencedToo() {
        var claims = PartitionClaims()
        let claim = { (silo: String) in
            PartitionClaim(
                silo: silo, generation: 1, transactionalId: "id-\(silo)",
                claimedAt: Timestamp(millisecondsSinceEpoch: 0))
        }
        claims.take(claim("b"), of: "b", at: 1)
        claims.take(claim("a"), of: "a", at: 2)
        #expect(claims.rivals(of: "a").map(\.transactionalId) == ["id-b"])
        claims.didClear("b")
        #expect(claims.rivals(of: "a").isEmpty)
        claims.take(claim("b"), of: "b", at: 5)
        #expect(claims.rivals(of: "a").map(\.silo) == ["b"], "it has claimed anew, with a new life of its producer")
        #expect(claims.latest?.silo == "b")
        claims.take(nil, of: "b", at: 6)
        #expect(claims.rivals(of: "a").isEmpty)
        #expect(claims.latest?.silo == "a")
    }

    /// Three silos, each sure that it owns both partitions, begin again whenever they lose one, while orders come in and
    /// every step of theirs may be delayed. Whatever they do to each other, each order counts once.
    @Test(arguments: 1...12)
    func rivalsLoseAndRepeatNothing(seed: UInt64) async throws {
        let (log, codec, clock) = (MemoryLog(), TestCodec(), TestClock())
        let random = Locked(SeededGenerator(seed: seed))
        log.setHesitation {
            for _ in 0..<random.use({ Int.random(in: 0...6, using: &$0) }) { await Task.yield() }
        }
        let count = 300
        let isOver = Locked(false)
        try await withThrowingTaskGroup(of: Void.self) { (group: inout ThrowingTaskGroup<Void, any Error>) in
            for name in ["silo-1", "silo-2", "silo-3"] {
                group.addTask {
                    var generation: Int64 = 0
                    while !isOver.value {
                        generation += 1
                        let life = random.use { Int64.random(in: 1...40, using: &$0) }
                        let silo = try RivalSilo(name, generation, log, codec, clock)
                        try await silo.run(for: .milliseconds(life))
                    }
                }
            }
            let feeder = try PartitionBench(log: log, codec: codec, clock: clock, partitionCount: 2)
            for number in 0..<count {
                try feeder.order("add 1", key: "k\(number % 7)")
                if number % 10 == 0 { try await Task.sleep(for: .milliseconds(2)) }
            }
            isOver.use { $0 = true }
            try await group.waitForAll()
        }
        let last = try RivalSilo("silo-4", 1, log, codec, clock)
        let total = try await last.totalWhenIdle(keys: 7)
        #expect(total == count, "seed \(seed)")
    }
}

/// A silo with two partitions over a log in memory.
private final class RivalSilo: Sendable {
    private let lane: TransactionLane
    private let partitions: [PartitionBench]

    init(_ name: String, _ generation: Int64, _ log: MemoryLog, _ codec: TestCodec, _ clock: TestClock) throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let lane = TransactionLane(logger: logger) { log.makeProducer(name) }
        self.lane = lane
        partitions = try (0..<2).map { partition in
            try PartitionBench(
                log: log, codec: codec, clock: clock, partitionCount: 2, partition: partition, nodeID: name, lane: lane,
                generation: generation)
        }
        let runtimes = partitions.map(\.runtime)
        lane.onEndOfLife { error in
            for runtime in runtimes { runtime.endLife(error) }
        }
    }

    /// Serves for a time, or as long as a rival lets it.
    func run(for duration: Duration) async throws {
        try await serve { try await Task.sleep(for: duration) }
    }

    func totalWhenIdle(keys: Int) async throws -> Int {
        let total = Locked(0)
        try await serve {
            for partition in self.partitions { try await partition.idle() }
            for number in 0..<keys {
                let key = "k\(number)"
                let owner = Int(self.partitions[0].partitioner.partition(forKey: key))
                let value = try await self.partitions[owner].total(key)
                total.use { $0 += value }
            }
        }
        return total.value
    }

    private func serve(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.lane.run() }
            try await withThrowingTaskGroup(of: Void.self) { loops in
                for partition in partitions { loops.addTask { await partition.runtime.run() } }
                do { try await body() } catch {
                    for partition in partitions { partition.runtime.drain() }
                    throw error
                }
                for partition in partitions { partition.runtime.drain() }
            }
            await lane.end()
        }
    }
}
