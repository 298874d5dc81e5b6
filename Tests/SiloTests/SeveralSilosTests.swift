import Avro
import EventLog
import OrchestraCore
import Placement
import Records
import Silo
import Testing

/// Several silos over a real broker and registry, in one process: what they do to each other in order. What happens when
/// processes die is for ClusterTests.
@Suite(.serialized, .timeLimit(.minutes(2))) struct SeveralSilosTests {
    private static let keys = (0..<32).map { "k\($0)" }

    private func serving(_ silos: Silo...) -> [Set<Int32>] {
        silos.map { silo in Set(silo.partitionReports.filter { $0.state == "serving" }.map(\.partition)) }
    }

    private func add(_ silo: Silo, _ keys: [String] = keys) async throws {
        for key in keys {
            _ = try await ClusterClient(handler: silo).grain(Counter.self, key: key).send(Add(amount: 1))
        }
    }

    private func expectTotals(_ total: Int, _ silo: Silo, _ comment: Comment? = nil) async throws {
        for key in Self.keys {
            let value = try await ClusterClient(handler: silo).grain(Counter.self, key: key).ask(Total()).value
            #expect(value == total, comment)
        }
    }

    @Test func partitionsAreSpreadAndAnySiloTakesAnyCall() async throws {
        try await LocalCluster.run { cluster in
            let group = SiloGroup(cluster)
            let (first, second) = (try group.makeSilo("silo-1"), try group.makeSilo("silo-2"))
            try await group.serve("silo-1", first) {
                await first.waitUntilReady()
                #expect(serving(first) == [Set(0..<8)], "it is alone")
                try await add(first)
                try await group.serve("silo-2", second) {
                    try await eventually("the second has its share") {
                        let shares = serving(first, second)
                        return !shares[1].isEmpty && shares[0].count + shares[1].count == 8
                    }
                    let shares = serving(first, second)
                    #expect(shares[0].isDisjoint(with: shares[1]))
                    try await add(second)
                    try await add(first)
                    try await expectTotals(3, first)
                    try await expectTotals(3, second)
                }
                try await eventually("the first has them all again") { serving(first) == [Set(0..<8)] }
                try await expectTotals(3, first)
            }
        }
    }

    /// Turns on both silos read a grain that one of them owns.
    @Test func turnsReadGrainsOfOtherSilos() async throws {
        try await LocalCluster.run { cluster in
            let group = SiloGroup(cluster)
            let grains: [any Grain.Type] = [Counter.self, Reader.self]
            let first = try group.makeSilo("silo-1", grains: grains)
            let second = try group.makeSilo("silo-2", grains: grains)
            try await group.serve("silo-1", first) {
                try await group.serve("silo-2", second) {
                    try await eventually("the partitions are spread") {
                        serving(first, second).allSatisfy { $0.count >= 3 }
                    }
                    _ = try await ClusterClient(handler: first).grain(Counter.self, key: "hub").send(Add(amount: 9))
                    for key in Self.keys {
                        let reader = try ClusterClient(handler: second).grain(Reader.self, key: key)
                        #expect(try await reader.send(Reader.Look(key: "hub")) == 9)
                    }
                }
            }
        }
    }

    @Test func standbysFollowWhatTheyDoNotOwn() async throws {
        try await LocalCluster.run { cluster in
            let group = SiloGroup(cluster)
            let (first, second) = (try group.makeSilo("silo-1"), try group.makeSilo("silo-2"))
            try await group.serve("silo-1", first) {
                try await group.serve("silo-2", second) {
                    try await eventually("each follows the other's") {
                        let reports = first.partitionReports + second.partitionReports
                        return reports.count { $0.state == "serving" } == 8
                            && reports.count { $0.state == "following" } == 8
                    }
                }
            }
        }
    }

    /// Each side of a split gossip network thinks that the other is dead; both still reach Kafka.
    @Test func aSplitGossipNetworkMovesNothing() async throws {
        try await LocalCluster.run { cluster in
            let group = SiloGroup(cluster)
            let (first, second) = (try group.makeSilo("silo-1"), try group.makeSilo("silo-2"))
            try await group.serve("silo-1", first) {
                try await group.serve("silo-2", second) {
                    try await eventually("the partitions are spread") {
                        serving(first, second).reduce(0) { $0 + $1.count } == 8 && first.isReady && second.isReady
                    }
                    let before = serving(first, second)
                    group.cut("silo-1", "silo-2")
                    group.show(["silo-1"], to: "silo-1")
                    group.show(["silo-2"], to: "silo-2")
                    // Time in which nothing must happen: long enough for all who would take something.
                    try await Task.sleep(for: SiloLiveness.absence + .seconds(1))
                    #expect(serving(first, second) == before, "who commits keeps what it has")
                    let partitioner = try Partitioner(partitionCount: 8)
                    let own = Self.keys.filter { before[0].contains(partitioner.partition(forKey: $0)) }
                    try await add(first, own)
                }
            }
        }
    }

    /// Silos that come and go while events arrive.
    @Test func movingUnderLoadLosesAndRepeatsNothing() async throws {
        try await LocalCluster.run { cluster in try await move(rounds: 4, keys: 12, count: 600, cluster) }
    }

    private func move(rounds: Int, keys: Int, count: Int, _ cluster: LocalCluster) async throws {
        try await cluster.codec.register(AgentTask.self, subject: "orders-value")
        let group = SiloGroup(cluster)
        try await withThrowingTaskGroup(of: Void.self) { (tasks: inout ThrowingTaskGroup<Void, any Error>) in
            let taken = Locked(0)
            for round in 1...rounds {
                let name = "silo-\(round)"
                let silo = try group.makeSilo(name, partitionCount: 2)
                tasks.addTask {
                    try await group.serve(name, silo) {
                        await silo.waitUntilReady()
                        // Each goes when its share is done; the last stays to the end.
                        let goal: Int = round == rounds ? count : count * round / (rounds + 1)
                        try await eventually("\(goal) events have had their effect", within: .seconds(60)) {
                            let total = await total(keys, silo)
                            taken.use { $0 = max($0, total) }
                            return total >= goal
                        }
                    }
                }
                if round == 1 {
                    await silo.waitUntilReady()
                    tasks.addTask { try await sendReceipts(count, keys: keys, cluster) }
                }
                // The next comes while this one is at work.
                try await eventually("some have been taken in", within: .seconds(60)) {
                    taken.value >= count * (round - 1) / (rounds + 1)
                }
            }
            try await tasks.waitForAll()
        }
        let published = try await cluster.count("receipts", partitions: 2)
        #expect(published == count, "each event has been taken in and published once")
    }

    private func sendReceipts(_ count: Int, keys: Int, _ cluster: LocalCluster) async throws {
        let partitioner = try Partitioner(partitionCount: 2)
        let producer = try Producer(cluster.kafka, logger: cluster.logger)
        for number in 0..<count {
            let key = "k\(number % keys)"
            _ = try await producer.send(
                ProducerRecord(
                    topic: "orders", partition: partitioner.partition(forKey: key), key: Array(key.utf8),
                    value: try cluster.codec.encode(order("receipt 1", key: key))))
        }
        await producer.close(timeout: .seconds(5))
    }

    private func total(_ keys: Int, _ silo: Silo) async -> Int {
        var total = 0
        for key in 0..<keys {
            // A counter that has not begun is none.
            let counter = try? ClusterClient(handler: silo).grain(Counter.self, key: "k\(key)")
            total += (try? await counter?.ask(Total()))?.value ?? 0
        }
        return total
    }
}
