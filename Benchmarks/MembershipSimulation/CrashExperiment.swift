import Membership
import SeededRandom
import Simulation

/// Some members end at the same moment: how long until every survivor's published view is without them?
final class CrashExperiment: SimulationObserver {
    struct Outcome {
        /// In seconds, until half of the survivors and until all of them know.
        var median: Double
        var all: Double
        /// The most views that one survivor published on the way.
        var viewChanges: Int
        var peakBytesPerSecond: Int
        /// Members that ended in a survivor's memory though they run.
        var falseDeaths: Int
    }

    private let victims: Set<Int>
    private var knownAt: [Int: Int64] = [:]
    private var publications: [Int: Int] = [:]
    private var falseDeaths: Set<Int> = []
    private var crashedAt: Int64 = 0

    private init(victims: Set<Int>) { self.victims = victims }

    func started(_ node: Int, in cluster: SimulatedCluster) {}

    func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster) {
        guard crashedAt > 0 else { return }
        for effect in effects {
            if case .changed(let id, let record?) = effect, record.status == .dead,
                let index = cluster.indexes[id], !victims.contains(index)
            {
                falseDeaths.insert(index)
            }
            guard case .publish = effect, !victims.contains(node) else { continue }
            publications[node, default: 0] += 1
            let table = cluster.nodes[node].membership.table
            if victims.allSatisfy({ table[cluster.nodes[$0].id]?.record.status.isLive != true }) {
                if knownAt[node] == nil { knownAt[node] = cluster.time }
            }
        }
    }

    static func run(nodeCount: Int, crashes: Int, silent: Bool, seed: UInt64) -> Outcome {
        let cluster = SimulatedCluster(nodeCount: nodeCount, seed: seed)
        cluster.decodesMessages = false
        var random = SeededGenerator(seed: seed ^ 0xc4a5)
        var victims: Set<Int> = []
        while victims.count < crashes { victims.insert(random.below(nodeCount)) }
        let experiment = CrashExperiment(victims: victims)
        cluster.observer = experiment
        cluster.startTogether(nodeCount)
        cluster.run(until: 4_000_000 + Int64(random.below(1_000_000)))
        for index in cluster.nodes.indices { cluster.nodes[index].resetCounters() }
        experiment.crashedAt = cluster.time
        for victim in victims.sorted() { silent ? cluster.vanish(victim) : cluster.crash(victim) }
        cluster.run(until: cluster.time + 40_000_000) { _ in experiment.knownAt.count == nodeCount - crashes }
        cluster.run(until: cluster.time + 1_000_000)
        let times = experiment.knownAt.values.sorted().map { Double($0 - experiment.crashedAt) / 1_000_000 }
        let isComplete = times.count == nodeCount - crashes
        return Outcome(
            median: times.isEmpty ? .infinity : times[times.count / 2], all: isComplete ? times.last! : .infinity,
            viewChanges: experiment.publications.values.max() ?? 0,
            peakBytesPerSecond: cluster.nodes.map(\.peakBytesPerSecond).max()!,
            falseDeaths: experiment.falseDeaths.count)
    }
}
