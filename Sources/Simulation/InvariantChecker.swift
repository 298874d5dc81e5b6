package import Membership

/// Watches every step of a simulation for what must never happen.
///
/// 1. (generation, incarnation, status) of a member never goes back in one node's memory.
/// 2. Only the subject raises its incarnation.
/// 3. A dead generation never returns before its tombstone expires.
/// 5. No eviction of a node that runs and that most peers can reach.
/// 6. Queues and memory stay bounded.
///
/// It keeps its own memory of what each node has believed, so that a mistake in the protocol's table is not also one
/// of the checker.
package final class InvariantChecker: SimulationObserver {
    private struct Belief {
        var generation: UInt64
        var incarnation: UInt32
        var status: MemberStatus
    }

    /// How long a node must have been undisturbed for its eviction to be a mistake, in microseconds: time to hear of a
    /// suspicion and to refute it.
    package static let calmTime: Int64 = 6_000_000

    package private(set) var violations: [String] = []
    /// When each node was last touched by a fault; a node that a fault still touches has the maximum.
    package var disturbedAt: [Int64]
    package private(set) var refutations = 0
    package private(set) var deaths = 0
    package private(set) var forgettings = 0

    private var beliefs: [[NodeID: Belief]]
    private var raised: [[UInt64: UInt32]]
    private var lastRaised: [UInt32]
    private var lastGeneration: [UInt64]
    private let maximumNews = MembershipSettings().maximumNews

    package init(nodeCount: Int) {
        disturbedAt = Array(repeating: 0, count: nodeCount)
        beliefs = Array(repeating: [:], count: nodeCount)
        raised = Array(repeating: [:], count: nodeCount)
        lastRaised = Array(repeating: 0, count: nodeCount)
        lastGeneration = Array(repeating: 0, count: nodeCount)
    }

    package func started(_ node: Int, in cluster: SimulatedCluster) { beliefs[node] = [:] }

    package func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster) {
        let subject = cluster.nodes[node]
        if lastRaised[node] != subject.membership.incarnation || lastGeneration[node] != subject.membership.generation {
            lastRaised[node] = subject.membership.incarnation
            lastGeneration[node] = subject.membership.generation
            let highest = raised[node][lastGeneration[node]] ?? 0
            raised[node][lastGeneration[node]] = max(highest, lastRaised[node])
        }
        for effect in effects {
            switch effect {
            case .changed(let id, let record): check(id, record, at: node, in: cluster)
            case .observed(let observation): count(observation, at: node, in: cluster)
            default: break
            }
        }
        if !effects.isEmpty { checkBounds(at: node, in: cluster) }
    }

    private func report(_ text: String, in cluster: SimulatedCluster) {
        guard violations.count < 20 else { return }
        let entry = "at \(Double(cluster.time) / 1_000_000) s: \(text)"
        violations.append(entry)
        cluster.trace?("VIOLATION \(entry)")
    }

    private func check(_ id: NodeID, _ record: MemberRecord?, at node: Int, in cluster: SimulatedCluster) {
        guard let record else {
            beliefs[node][id] = nil
            return
        }
        let next = Belief(generation: record.generation, incarnation: record.incarnation, status: record.status)
        defer { beliefs[node][id] = next }
        let observer = cluster.nodes[node].id
        if let subject = cluster.indexes[id], next.incarnation > raised[subject][next.generation] ?? 0 {
            report("2: \(observer) believes \(id) at incarnation \(next.incarnation), which it never had", in: cluster)
        }
        guard let last = beliefs[node][id] else { return }
        let step = "\(observer) went from \(id) \(last) to \(next)"
        if next.generation < last.generation { return report("1: \(step)", in: cluster) }
        guard next.generation == last.generation else { return }
        if !last.status.isLive, next.status.isLive { return report("3: \(step)", in: cluster) }
        guard last.status.isLive, next.status.isLive else { return }
        if next.incarnation < last.incarnation { report("1: \(step)", in: cluster) }
        if next.incarnation == last.incarnation, next.status.rawValue < last.status.rawValue {
            report("1: \(step)", in: cluster)
        }
    }

    private func count(_ observation: MembershipObservation, at node: Int, in cluster: SimulatedCluster) {
        switch observation {
        case .refuted: refutations += 1
        case .forgot:
            forgettings += 1
            beliefs[node] = [:]
        case .declaredDead(let id, witnessed: true):
            deaths += 1
            guard let subject = cluster.indexes[id], cluster.nodes[subject].state == .running,
                cluster.nodes[node].membership.table[id]?.record.generation
                    == cluster.nodes[subject].membership.generation,
                cluster.time - disturbedAt[subject] >= Self.calmTime, isReachableByMost(subject, in: cluster),
                isHeeded(node, in: cluster)
            else { return }
            report("5: \(cluster.nodes[node].id) evicted \(id), which was running and undisturbed", in: cluster)
        default: break
        }
    }

    /// Whether more than half of the other silos run, are undisturbed, and reach the subject.
    private func isReachableByMost(_ subject: Int, in cluster: SimulatedCluster) -> Bool {
        let peers = cluster.nodes.indices.filter { $0 != subject && cluster.nodes[$0].role == .silo }
        let able = peers.filter { peer in
            cluster.nodes[peer].state == .running && cluster.time - disturbedAt[peer] >= Self.calmTime
                && cluster.network.canExchange(peer, subject)
        }
        return able.count * 2 > peers.count
    }

    /// Whether anybody else takes this node for a live member. What a node believes that the others have evicted is
    /// forgotten when it comes back.
    private func isHeeded(_ node: Int, in cluster: SimulatedCluster) -> Bool {
        let own = cluster.nodes[node].membership
        return cluster.nodes.indices.contains { other in
            guard other != node, cluster.nodes[other].state == .running,
                let record = cluster.nodes[other].membership.table[own.id]?.record
            else { return false }
            return record.status.isLive && record.generation == own.generation
        }
    }

    private func checkBounds(at node: Int, in cluster: SimulatedCluster) {
        let subject = cluster.nodes[node]
        if subject.membership.queuedNews > maximumNews {
            report("6: \(cluster.nodes[node].id) queues \(subject.membership.queuedNews) pieces of news", in: cluster)
        }
        if subject.membership.suspicionCount > cluster.nodes.count
            || subject.membership.peersOfLate > cluster.nodes.count
        {
            report("6: \(cluster.nodes[node].id) remembers more peers than there are", in: cluster)
        }
        if cluster.nodes[node].bytesThisSecond > 512 * 1024 {
            report("6: \(cluster.nodes[node].id) sent more than 512 KiB in a second", in: cluster)
        }
    }
}
