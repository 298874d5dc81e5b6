import Membership
import Simulation

/// The network is split into two halves for two minutes: how long until each half has given the other up, and after the
/// end of it, until all agree again?
enum PartitionExperiment {
    struct Outcome {
        /// In seconds.
        var parted: Double
        var healed: Double
    }

    static func run(nodeCount: Int, seed: UInt64) -> Outcome {
        let cluster = SimulatedCluster(nodeCount: nodeCount, seed: seed)
        cluster.decodesMessages = false
        cluster.startTogether(nodeCount)
        cluster.run(until: 4_000_000 + Int64(seed % 8) * 137_000)
        let half = nodeCount / 2
        for node in 0..<half { cluster.network.group[node] = 1 }
        let start = cluster.time
        let end = start + 120_000_000
        let isParted = cluster.run(until: end) { cluster in
            cluster.nodes.indices.allSatisfy { node in
                cluster.nodes[node].membership.view.silos.count == (node < half ? half : nodeCount - half)
            }
        }
        let parted = isParted ? Double(cluster.time - start) / 1_000_000 : .infinity
        cluster.run(until: end)
        cluster.network.heal()
        let healing = cluster.time
        let isHealed = cluster.run(until: healing + 300_000_000) { $0.isAgreed }
        return Outcome(
            parted: parted, healed: isHealed ? Double(cluster.time - healing) / 1_000_000 : .infinity)
    }
}
