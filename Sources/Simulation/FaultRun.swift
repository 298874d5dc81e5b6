package import Membership
import SeededRandom

/// One seeded run: a small cluster under a random schedule of faults, which then heals and must agree.
package struct FaultRun {
    package struct Report: Sendable {
        package var seed: UInt64
        package var traceHash: UInt64
        package var violations: [String]
        /// From the end of the faults until all agreed, in microseconds.
        package var healing: Int64
        package var steps: Int
        package var deaths: Int
        package var refutations: Int
        package var forgettings: Int
    }

    /// How long the faults last, and how long the cluster may then take to agree, in microseconds.
    package static let faultTime: Int64 = 12_000_000
    package static let healingBound: Int64 = 35_000_000

    private let cluster: SimulatedCluster
    private let checker: InvariantChecker
    private var random: SeededGenerator
    private let nodeCount: Int
    private let clientCount: Int

    private init(seed: UInt64, settings: MembershipSettings, trace: ((String) -> Void)?) {
        random = SeededGenerator(seed: mixed(seed) ^ 0xfa17)
        nodeCount = 3 + random.below(random.below(4) == 0 ? 10 : 4)
        clientCount = random.below(3) == 0 ? 1 + random.below(2) : 0
        cluster = SimulatedCluster(nodeCount: nodeCount, seed: seed, settings: settings)
        checker = InvariantChecker(nodeCount: nodeCount)
        cluster.observer = checker
        if let trace {
            cluster.trace = { [unowned cluster] text in trace("\(Double(cluster.time) / 1_000_000) \(text)") }
        }
    }

    /// Runs seeds, so many at a time.
    ///
    /// - Returns: the reports, in the order of their seeds.
    package static func run(seeds: ClosedRange<UInt64>, lanes: UInt64) async -> [Report] {
        let reports = await withTaskGroup(of: [Report].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    stride(from: seeds.lowerBound + lane, through: seeds.upperBound, by: Int(lanes)).map {
                        run(seed: $0)
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        return reports.sorted { $0.seed < $1.seed }
    }

    /// - Parameter trace: is given what happens, line by line.
    package static func run(
        seed: UInt64, settings: MembershipSettings = MembershipSettings(), trace: ((String) -> Void)? = nil
    ) -> Report {
        var run = FaultRun(seed: seed, settings: settings, trace: trace)
        run.begin()
        run.breakThings()
        return run.heal(seed: seed)
    }

    private func role(_ index: Int) -> MemberRole { index >= nodeCount - clientCount ? .gateway : .silo }

    private var seeds: [Int] { [0, 1] }

    private mutating func begin() {
        for index in 0..<nodeCount {
            cluster.nodes[index].clockOffset = Int64(random.below(1_000_000_000))
            cluster.nodes[index].clockDrift = Int64(random.below(20_001)) - 10_000
            let role = role(index)
            let seeds = seeds
            cluster.call(at: Int64(random.below(2_000_000))) { cluster in
                cluster.start(index, generation: 1000, seeds: seeds, role: role)
            }
        }
        cluster.run(until: 3_500_000)
    }

    private mutating func breakThings() {
        let end = cluster.time + Self.faultTime
        while cluster.time < end {
            inject(until: min(end, cluster.time + 200_000 + Int64(random.below(6_000_000))))
            cluster.run(until: min(end, cluster.time + 100_000 + Int64(random.below(2_500_000))))
        }
    }

    private func disturb(_ nodes: some Sequence<Int>, until end: Int64) {
        for node in nodes { checker.disturbedAt[node] = max(checker.disturbedAt[node], end) }
    }

    private mutating func inject(until end: Int64) {
        let node = random.below(nodeCount)
        let other = (node + 1 + random.below(nodeCount - 1)) % nodeCount
        switch random.below(13) {
        case 0, 1: endProcess(node, by: { $0.crash(node) }, restartAt: end)
        case 2: endProcess(node, by: { $0.vanish(node) }, restartAt: end)
        case 3: endProcess(node, by: { $0.tell(node, .leave) }, restartAt: end)
        case 4, 5: stall(node, until: end)
        case 6: lose(node, inbound: true, until: end)
        case 7: lose(node, inbound: false, until: end)
        case 8: cut(node, other, until: end)
        case 9: deafen(node, until: end)
        case 10: split(until: end)
        case 11: delay(node, until: end)
        default:
            cluster.trace?("the connection of \(cluster.nodes[node].id) and \(cluster.nodes[other].id) is reset")
            cluster.reset(node, other)
            let weight = UInt16(random.below(200))
            cluster.tell(other, .describe(weight: weight, load: UInt8(random.below(256)), labels: []))
        }
    }

    private mutating func endProcess(_ node: Int, by ending: (SimulatedCluster) -> Void, restartAt: Int64) {
        guard cluster.nodes[node].isUp else { return }
        disturb([node], until: restartAt)
        ending(cluster)
        // The clock of the machine may have gone back meanwhile.
        let generation = 1000 + cluster.time / 1000 - (random.below(8) == 0 ? 900 : 0)
        let role = role(node)
        let seeds = seeds
        cluster.call(at: restartAt) { cluster in
            guard !cluster.nodes[node].isUp else { return }
            cluster.trace?("\(cluster.nodes[node].id) starts with generation \(generation)")
            cluster.start(node, generation: UInt64(max(1, generation)), seeds: seeds, role: role)
        }
    }

    private func stall(_ node: Int, until end: Int64) {
        guard cluster.nodes[node].state == .running else { return }
        disturb([node], until: end)
        cluster.stall(node)
        cluster.call(at: end) { $0.resume(node) }
    }

    private mutating func lose(_ node: Int, inbound: Bool, until end: Int64) {
        let loss = 0.1 + 0.8 * random.fraction()
        cluster.trace?("\(cluster.nodes[node].id) loses \(loss) of what it \(inbound ? "receives" : "sends")")
        disturb([node], until: end)
        if inbound { cluster.network.lossIn[node] = loss } else { cluster.network.lossOut[node] = loss }
        cluster.call(at: end) { cluster in
            if inbound { cluster.network.lossIn[node] = 0 } else { cluster.network.lossOut[node] = 0 }
        }
    }

    /// One pair, one direction: both stay reachable by most, so neither may be evicted.
    private func cut(_ from: Int, _ to: Int, until end: Int64) {
        cluster.trace?("\(cluster.nodes[from].id) no longer reaches \(cluster.nodes[to].id)")
        if nodeCount < 5 { disturb([from, to], until: end) }
        let pair = NetworkConditions.pair(from, to)
        cluster.network.cuts.insert(pair)
        cluster.call(at: end) { $0.network.cuts.remove(pair) }
    }

    private func deafen(_ node: Int, until end: Int64) {
        cluster.trace?("\(cluster.nodes[node].id) hears nothing")
        disturb([node], until: end)
        let pairs = (0..<nodeCount).map { NetworkConditions.pair($0, node) }
        cluster.network.cuts.formUnion(pairs)
        cluster.call(at: end) { $0.network.cuts.subtract(pairs) }
    }

    private mutating func split(until end: Int64) {
        cluster.trace?("the network splits")
        disturb(0..<nodeCount, until: end)
        for node in 0..<nodeCount { cluster.network.group[node] = random.below(2) }
        cluster.call(at: end) { cluster in
            for node in cluster.nodes.indices { cluster.network.group[node] = 0 }
        }
    }

    private mutating func delay(_ node: Int, until end: Int64) {
        let extra = Int64(random.below(300_000))
        cluster.trace?("\(cluster.nodes[node].id) is \(extra) µs away")
        disturb([node], until: end)
        cluster.network.extraDelay[node] = extra
        cluster.call(at: end) { $0.network.extraDelay[node] = 0 }
    }

    private func heal(seed: UInt64) -> Report {
        cluster.trace?("everything heals")
        let healedAt = cluster.time
        cluster.network.heal()
        for node in 0..<nodeCount { cluster.resume(node) }
        // Those that are leaving have left by then.
        cluster.run(until: cluster.time + 500_000)
        for node in 0..<nodeCount {
            if !cluster.nodes[node].isUp {
                let generation = UInt64(1000 + cluster.time / 1000)
                cluster.start(node, generation: generation, seeds: seeds, role: role(node))
            }
        }
        disturb(0..<nodeCount, until: healedAt)
        let agreed = cluster.run(until: healedAt + Self.healingBound) { $0.isAgreed }
        var violations = checker.violations
        if !agreed {
            for node in cluster.nodes {
                cluster.trace?("\(node.id) \(node.state) \(node.membership.summary)")
            }
        }
        if !agreed { violations.append("4: no agreement \(Self.healingBound / 1_000_000) s after healing") }
        return Report(
            seed: seed, traceHash: cluster.traceHash, violations: violations, healing: cluster.time - healedAt,
            steps: cluster.stepCount, deaths: checker.deaths, refutations: checker.refutations,
            forgettings: checker.forgettings)
    }
}

extension SimulatedCluster {
    /// Whether all nodes run, are members, and hold the same table, in which all of them live under their current
    /// generation and nobody is suspected.
    package var isAgreed: Bool {
        let digest = nodes[0].membership.table.digest
        let view = nodes[0].membership.viewDigest
        return nodes.allSatisfy { node in
            node.state == .running && node.membership.isJoined && node.membership.table.digest == digest
                && node.membership.viewDigest == view && node.membership.suspicionCount == 0
                && node.membership.table.liveCount == nodes.count
        }
    }
}
