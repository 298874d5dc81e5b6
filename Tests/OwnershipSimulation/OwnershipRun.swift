import EventLog
import Membership
import Placement
import SeededRandom
import Silo

/// One seeded run: a small cluster of real silos under load, over a model of Kafka, while an adversary breaks things;
/// then everything heals, and the cluster must settle.
package final class OwnershipRun {
    package struct Report: Sendable {
        package var seed: UInt64
        package var siloCount: Int
        package var partitionCount: Int32
        package var traceHash: UInt64
        package var violations: [String]
        /// From the end of the faults until each partition was served by its owner, in microseconds.
        package var healing: Int64
        package var jobs: Int
        package var operations: Int
        package var commits: Int
        package var changesOfOwner: Int
        package var initializations: Int
        /// Answers of volatile grains, and how often one of them began anew.
        package var boardAnswers: Int
        package var boardChanges: Int
        package var faults: [String: Int]
    }

    /// How long a cluster may take to settle once everything works, in microseconds.
    static let healingBound: Int64 = 40_000_000

    let world: VirtualWorld
    let kafka: ModelKafka
    let network: ModelNetwork
    let gossip: any Gossip
    let workload: Workload
    let checker: CommitChecker
    let settings: OwnershipSettings
    let names: [String]
    /// All that ever ran.
    private(set) var processes: [SiloProcess] = []
    var faults: [String: Int] = [:]
    private var isHealing = false
    private var lastGeneration: Int64 = 1_000

    init(seed: UInt64, trace: ((String) -> Void)? = nil) throws {
        world = VirtualWorld(seed: seed)
        world.trace = trace
        var settings = OwnershipSettings()
        settings.siloCount = 3 + world.random.below(world.random.below(4) == 0 ? 5 : 2)
        settings.partitionCount = Int32(world.random.below(4) == 0 ? 4 + world.random.below(13) : 4)
        settings.standbys = world.random.below(3)
        settings.idleTime = [.milliseconds(400), .seconds(4), .seconds(900)][world.random.below(3)]
        self.settings = settings
        kafka = ModelKafka(in: world)
        network = ModelNetwork(in: world)
        workload = try Workload(settings, network, kafka, keyCount: 3 + world.random.below(6))
        checker = CommitChecker(settings.codec, workload.history)
        names = (0..<settings.siloCount).map { "node-\($0)" }
        gossip = world.happens(0.2) ? RealGossip(names, world) : ModelGossip(names, network)
        kafka.onStable = { [checker] in checker.look(at: $0) }
        kafka.onInitialize = { [weak self] id, host in self?.checkFence(of: id, by: host) }
        kafka.abortRate = world.happens(0.3) ? 0.03 : 0
        kafka.lossRate = world.happens(0.3) ? 0.02 : 0
    }

    package static func run(seed: UInt64, trace: ((String) -> Void)? = nil) throws -> Report {
        let run = try OwnershipRun(seed: seed, trace: trace)
        try run.begin()
        run.breakThings()
        let healing = run.heal()
        run.end()
        let history = run.workload.history
        return Report(
            seed: seed, siloCount: run.settings.siloCount, partitionCount: run.settings.partitionCount,
            traceHash: run.world.traceHash, violations: history.violations, healing: healing,
            jobs: run.world.jobCount, operations: history.operations, commits: run.checker.commits,
            changesOfOwner: run.checker.changesOfOwner, initializations: run.kafka.initializations,
            boardAnswers: run.workload.boards.answers, boardChanges: run.workload.boards.changes, faults: run.faults)
    }

    /// Runs seeds on threads of their own, so many at a time: a world belongs to one thread.
    package static func run(seeds: ClosedRange<UInt64>, lanes: Int) async throws -> [Report] {
        let reports = try await withThrowingTaskGroup(of: [Report].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    try await onThread {
                        try stride(from: seeds.lowerBound + UInt64(lane), through: seeds.upperBound, by: lanes).map {
                            try OwnershipRun.run(seed: $0)
                        }
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        return reports.sorted { $0.seed < $1.seed }
    }

    // MARK: Processes

    /// Starts a process of this name; an older one may still be there.
    @discardableResult
    func spawn(_ name: String) -> SiloProcess? {
        lastGeneration = max(lastGeneration + 1, 1_000 + world.time / 1_000)
        let host = VirtualHost(name, in: world, drift: world.between(-10_000, 10_000))
        let holder = Holder(gossip)
        guard
            let process = try? SiloProcess(
                name, generation: lastGeneration, on: host, kafka: kafka, network: network.link(from: host),
                settings: settings, leaving: { if let process = holder.process { holder.gossip.leaving(process) } })
        else { return nil }
        holder.process = process
        process.onEnd = { [weak self, unowned process] in self?.ended(process) }
        processes.append(process)
        network.processes[name] = process
        world.log("\(name) starts with generation \(lastGeneration)")
        process.start()
        gossip.started(process)
        return process
    }

    /// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
    private final class Holder: @unchecked Sendable {
        let gossip: any Gossip
        weak var process: SiloProcess?

        init(_ gossip: any Gossip) { self.gossip = gossip }
    }

    private func ended(_ process: SiloProcess) {
        guard !process.host.isDead else { return }
        world.log("\(process.name) has ended")
        gossip.ended(process)
        process.kill()
    }

    func kill(_ process: SiloProcess) {
        guard process.isUp else { return }
        world.log("\(process.name) is killed")
        gossip.killed(process)
        process.kill()
    }

    // MARK: Phases

    private func begin() throws {
        for name in names where name != names.last || world.happens(0.7) {
            world.after(world.between(0, 1_500_000)) { self.spawn(name) }
        }
        world.run(until: 1_000_000)
        workload.start(clients: 3 + world.random.below(3))
        world.run(until: world.between(2_000_000, 4_000_000))
    }

    private func breakThings() {
        let end = world.time + 14_000_000
        while world.time < end, !world.isEndless {
            inject(until: min(end, world.time + world.between(300_000, 8_000_000)))
            world.run(until: min(end, world.time + world.between(200_000, 2_500_000)))
        }
    }

    /// - Returns: how long it took.
    private func heal() -> Int64 {
        world.log("everything heals")
        let start = world.time
        isHealing = true
        kafka.isDown = false
        (kafka.extraLatency, kafka.abortRate, kafka.lossRate) = (0, 0, 0)
        network.cuts = []
        gossip.heal()
        for process in processes where !process.host.isDead {
            process.host.isCutFromKafka = false
            if process.host.isPaused {
                process.host.resume()
                gossip.resumed(process)
            }
            if process.isLeaving || network.processes[process.name] !== process { kill(process) }
        }
        kafka.wakeAllReaders()
        for name in names where network.processes[name]?.isUp != true { spawn(name) }
        world.run(until: start + 500_000)
        let isSettled = world.run(until: start + Self.healingBound) { self.isSettled }
        let healing = world.time - start
        if !isSettled { workload.history.violation("not settled: \(unsettled)") }
        return healing
    }

    private func end() {
        workload.stop()
        finish("clients wait for answers")
        workload.checkTotals()
        finish("totals are not told")
        checkReceipts()
        // What was decided while things were broken may still be done; after that, nothing moves.
        world.run(until: world.time + 6_000_000)
        let (initializations, changes) = (kafka.initializations, checker.changesOfOwner)
        world.run(until: world.time + 4_000_000)
        if checker.changesOfOwner != changes { workload.history.violation("partitions go on moving") }
        if !isSettled { workload.history.violation("not settled any more: \(unsettled)") }
        checkSequences()
        if kafka.initializations != initializations { workload.history.violation("silos go on fencing each other") }
        if world.isEndless { workload.history.violation("jobs without end") }
        for process in processes where !process.host.isDead { process.kill() }
        world.run(until: world.time + 1_000_000)
    }

    /// Nobody is fenced by another while Kafka hears of it. The decision may be some seconds old: a fence has to be
    /// preceded by silence, but not immediately.
    private func checkFence(of id: String, by host: VirtualHost) {
        guard id != SiloProcess.transactionalID(of: host.name) else { return }
        let times = (kafka.heartbeats[id] ?? []) + [world.time]
        let pauses = zip(times, times.dropFirst()).filter { $1 > world.time - 15_000_000 }.map { $1 - $0 }
        if times.count > 1, pauses.allSatisfy({ $0 < 2_900_000 }) {
            workload.history.violation("\(host.name) fences \(id), of which Kafka hears all the time")
        }
    }

    /// What the owners have in memory is what is committed.
    private func checkSequences() {
        for process in processes where process.isUp {
            for report in process.silo.partitionReports where report.state == "serving" {
                let committed = checker.sequence(of: report.partition)
                guard report.sequence != committed else { continue }
                workload.history.violation(
                    "\(process.name) has \(report.sequence) of partition \(report.partition), not \(committed)")
            }
        }
    }

    private func finish(_ complaint: String) {
        guard !world.run(until: world.time + 15_000_000, stopWhen: { self.workload.running == 0 }) else { return }
        workload.history.violation("\(complaint): \(workload.running)")
    }

    // MARK: At the end

    private var placement: Placement {
        Placement(partitionCount: settings.partitionCount, candidates: names.map { PlacementCandidate(id: $0) })
    }

    /// Whether every partition is served by the silo that placement names, and by no other.
    var isSettled: Bool { unsettled.isEmpty }

    private var unsettled: String {
        var servers: [Int32: [String]] = [:]
        var others: [String] = []
        for process in processes where !process.host.isDead {
            for report in process.silo.partitionReports {
                if report.state == "serving" {
                    servers[report.partition, default: []].append(process.name)
                } else if report.isNominated {
                    others.append("\(report.partition) is \(report.state) at \(process.name)")
                }
            }
            if let failure = process.failure { others.append("\(process.name) has failed: \(failure)") }
        }
        let placement = placement
        let wrong = (0..<settings.partitionCount).filter { servers[$0] != placement.owner(of: $0).map { [$0] } }
        guard !wrong.isEmpty else { return "" }
        let found = wrong.map { "\($0) by \(servers[$0] ?? []), not \(placement.owner(of: $0) ?? "")" }
        return (found + others).joined(separator: "; ")
    }

    /// Each order has been published onwards once.
    private func checkReceipts() {
        var count = 0
        var seen: Set<[UInt8]> = []
        for partition in 0..<settings.partitionCount {
            let log = kafka.partition(TopicPartition(topic: "receipts", partition: partition))
            for entry in log.entries {
                guard case .record(let record, let transaction?) = entry, transaction.verdict == .committed,
                    let value = record.value
                else { continue }
                count += 1
                if !seen.insert(value).inserted { workload.history.violation("an order was published onwards twice") }
            }
        }
        let expected = workload.receiptsExpected
        if count != expected { workload.history.violation("\(count) receipts for \(expected) orders") }
    }
}
