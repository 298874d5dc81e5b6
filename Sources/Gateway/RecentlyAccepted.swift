import DequeModule
import OrchestraCore
import Synchronization

/// The last workflows that this gateway accepted, with the place of their records: as long as their owner is out of
/// reach they are "accepted", and a question about one can ask the owner to take its record in first.
final class RecentlyAccepted: Sendable {
    private struct State {
        var positions: [String: GrainCallRequest.Position] = [:]
        var order = Deque<String>()
    }

    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) {
        self.capacity = capacity
    }

    func remember(_ workflowID: String, at position: GrainCallRequest.Position) {
        state.withLock { state in
            // A repeated key keeps its first record: that is the one that counts.
            guard state.positions[workflowID] == nil else { return }
            state.positions[workflowID] = position
            state.order.append(workflowID)
            if state.order.count > capacity, let oldest = state.order.popFirst() { state.positions[oldest] = nil }
        }
    }

    func position(of workflowID: String) -> GrainCallRequest.Position? {
        state.withLock { $0.positions[workflowID] }
    }
}
