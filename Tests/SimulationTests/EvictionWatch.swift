import Membership
import Simulation

/// Notes who was taken for dead by whom, one impaired node apart.
final class EvictionWatch: SimulationObserver {
    private let impaired: Int
    /// Deaths of others in the memory of others.
    private(set) var mistakes: [String] = []
    /// Deaths of the impaired node.
    private(set) var exceptional = 0

    init(except impaired: Int) { self.impaired = impaired }

    func started(_ node: Int, in cluster: SimulatedCluster) {}

    func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster) {
        guard node != impaired else { return }
        for case .changed(let id, let record?) in effects where record.status == .dead {
            if cluster.indexes[id] == impaired {
                exceptional += 1
            } else {
                mistakes.append("\(cluster.nodes[node].id) took \(id) for dead at \(cluster.time) µs")
            }
        }
    }
}
