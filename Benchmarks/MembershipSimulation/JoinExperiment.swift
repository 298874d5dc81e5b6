import Membership
import SeededRandom
import Simulation

/// How long until a newcomer is known to 99.99 % of the members, and until many that start at once all know each other.
enum JoinExperiment {
    /// - Returns: seconds from the newcomer's start.
    static func join(nodeCount: Int, seed: UInt64) -> Double {
        let cluster = SimulatedCluster(nodeCount: nodeCount + 1, seed: seed)
        cluster.decodesMessages = false
        let tally = Tally(wanted: { table, cluster in
            table[cluster.nodes[nodeCount].id]?.record.status.isLive == true
        })
        cluster.observer = tally
        cluster.startTogether(nodeCount)
        cluster.run(until: 3_000_000)
        let start = cluster.time
        let enough = (nodeCount * 9999 + 9999) / 10_000
        cluster.start(nodeCount, generation: 2, seeds: [0, 1, 2])
        cluster.run(until: start + 60_000_000) { _ in tally.nodes.count >= enough }
        let times = tally.nodes.values.sorted()
        return times.count < enough ? .infinity : Double(times[enough - 1] - start) / 1_000_000
    }

    /// - Returns: seconds from the first start; all start within one second.
    static func bootstrap(nodeCount: Int, seed: UInt64) -> Double {
        let cluster = SimulatedCluster(nodeCount: nodeCount, seed: seed)
        cluster.decodesMessages = false
        let tally = Tally(wanted: { table, _ in table.liveSiloCount == nodeCount })
        cluster.observer = tally
        var random = SeededGenerator(seed: seed)
        for index in 0..<nodeCount {
            cluster.call(at: Int64(random.below(1_000_000))) { $0.start(index, generation: 1, seeds: [0, 1, 2]) }
        }
        cluster.run(until: 120_000_000) { _ in tally.nodes.count == nodeCount }
        let times = tally.nodes.values.max() ?? 0
        return tally.nodes.count < nodeCount ? .infinity : Double(times) / 1_000_000
    }
}

/// Notes when each node first publishes a view that a condition holds for.
final class Tally: SimulationObserver {
    private let wanted: (MemberTable, SimulatedCluster) -> Bool
    private(set) var nodes: [Int: Int64] = [:]

    init(wanted: @escaping (MemberTable, SimulatedCluster) -> Bool) { self.wanted = wanted }

    func started(_ node: Int, in cluster: SimulatedCluster) {}

    func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster) {
        for case .publish in effects where nodes[node] == nil && wanted(cluster.nodes[node].membership.table, cluster) {
            nodes[node] = cluster.time
        }
    }
}
