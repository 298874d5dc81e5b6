import Membership
import SeededRandom
import Simulation

/// Some members are impaired for minutes; the others must not lose each other.
final class ImpairmentExperiment: SimulationObserver {
    enum Impairment: String, CaseIterable {
        case steady = "none"
        case inboundLoss = "80 % inbound loss, 1 %"
        case outboundLoss = "80 % outbound loss, 1 %"
        case flipFlop = "deaf for 20 s of 40 s, 1 %"
        case starved = "stopped for 1-4 s of each 5 s, 4 %"
    }

    struct Outcome {
        /// Healthy members that ended in the memory of healthy ones.
        var healthyEvicted = 0
        /// When and where each of them was first taken for dead.
        var mistakes: [String] = []
        /// Endings of impaired members in the memory of healthy ones, counted once each time.
        var impairedEvictions = 0
        /// The most views that one healthy member published.
        var viewChanges = 0
        /// Bytes a second of healthy members.
        var meanSent = 0.0
        var meanReceived = 0.0
        var peakSent = 0
    }

    private let impaired: Set<Int>
    private var evicted: Set<Int> = []
    private var mistakes: [String] = []
    private var ended: Set<Ending> = []
    private var publications: [Int: Int] = [:]
    private var hasBegun = false

    private struct Ending: Hashable {
        let node: Int
        let generation: UInt64
    }

    private init(impaired: Set<Int>) { self.impaired = impaired }

    func started(_ node: Int, in cluster: SimulatedCluster) {}

    func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster) {
        guard hasBegun, !impaired.contains(node) else { return }
        for effect in effects {
            switch effect {
            case .publish: publications[node, default: 0] += 1
            case .changed(let id, let record?):
                guard record.status == .dead, let subject = cluster.indexes[id] else { continue }
                if impaired.contains(subject) {
                    ended.insert(Ending(node: subject, generation: record.generation))
                } else if evicted.insert(subject).inserted {
                    mistakes.append("\(cluster.time / 1_000_000) s: \(cluster.nodes[node].id) took \(id) for dead")
                }
            default: break
            }
        }
    }

    static func run(_ impairment: Impairment, nodeCount: Int, seconds: Int64, seed: UInt64) -> Outcome {
        let cluster = SimulatedCluster(nodeCount: nodeCount, seed: seed)
        cluster.decodesMessages = false
        var random = SeededGenerator(seed: seed ^ 0x1a)
        let share = impairment == .starved ? 0.04 : 0.01
        let count = impairment == .steady ? 0 : max(1, Int(Double(nodeCount) * share))
        var impaired: Set<Int> = []
        while impaired.count < count { impaired.insert(random.below(nodeCount)) }
        let experiment = ImpairmentExperiment(impaired: impaired)
        cluster.observer = experiment
        cluster.startTogether(nodeCount)
        cluster.run(until: 5_000_000)
        experiment.hasBegun = true
        for index in cluster.nodes.indices { cluster.nodes[index].resetCounters() }
        let end = cluster.time + seconds * 1_000_000
        for node in impaired.sorted() { apply(impairment, to: node, in: cluster, until: end, random: &random) }
        cluster.run(until: end)
        return experiment.outcome(cluster, seconds: seconds)
    }

    private func outcome(_ cluster: SimulatedCluster, seconds: Int64) -> Outcome {
        let healthy = cluster.nodes.indices.filter { !impaired.contains($0) }.map { cluster.nodes[$0] }
        var outcome = Outcome(healthyEvicted: evicted.count, mistakes: mistakes, impairedEvictions: ended.count)
        outcome.viewChanges = publications.values.max() ?? 0
        let total = Double(healthy.count) * Double(seconds)
        outcome.meanSent = Double(healthy.reduce(0) { $0 + $1.sentBytes }) / total
        outcome.meanReceived = Double(healthy.reduce(0) { $0 + $1.receivedBytes }) / total
        outcome.peakSent = healthy.map(\.peakBytesPerSecond).max() ?? 0
        return outcome
    }

    private static func apply(
        _ impairment: Impairment, to node: Int, in cluster: SimulatedCluster, until end: Int64,
        random: inout SeededGenerator
    ) {
        switch impairment {
        case .steady: break
        case .inboundLoss: cluster.network.lossIn[node] = 0.8
        case .outboundLoss: cluster.network.lossOut[node] = 0.8
        case .flipFlop:
            var time = cluster.time
            while time < end {
                cluster.call(at: time) { $0.network.lossIn[node] = 1 }
                cluster.call(at: time + 20_000_000) { $0.network.lossIn[node] = 0 }
                time += 40_000_000
            }
        case .starved:
            var time = cluster.time + Int64(random.below(5_000_000))
            while time < end {
                let stop = 1_000_000 + Int64(random.below(3_000_000))
                cluster.call(at: time) { $0.stall(node) }
                cluster.call(at: time + stop) { $0.resume(node) }
                time += 5_000_000
            }
        }
    }
}
