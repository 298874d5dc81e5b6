/// What the clients of ``Board`` grains saw, and whether each grain was in one place at a time: its activations follow
/// each other, and each counts by one.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class BoardHistory: @unchecked Sendable {
    private struct Activation {
        /// The greatest count that any call has been told.
        var seen = 0
        /// What its commands were told.
        var replies: Set<Int> = []
    }

    private struct Grain {
        var activations: [String: Activation] = [:]
        /// Activations that a later one has followed.
        var ended: Set<String> = []
        var begun = 0
    }

    /// What was known when a call began.
    struct Beginning {
        fileprivate var seen: [String: Int]
        fileprivate var ended: Set<String>
    }

    private let history: History
    private var grains: [String: Grain] = [:]
    private(set) var answers = 0
    /// How often an activation was followed by another.
    private(set) var changes = 0

    init(_ history: History) { self.history = history }

    func begin(_ key: String, adds: Bool) -> Beginning {
        var grain = grains[key] ?? Grain()
        if adds { grain.begun += 1 }
        grains[key] = grain
        return Beginning(seen: grain.activations.mapValues(\.seen), ended: grain.ended)
    }

    func answered(_ key: String, _ state: BoardState, _ beginning: Beginning, adds: Bool) {
        var grain = grains[key] ?? Grain()
        defer { grains[key] = grain }
        answers += 1
        let name = state.activation
        if beginning.ended.contains(name) {
            history.violation("\(key) was answered by activation \(name), which another one had followed")
        }
        // Those that had answered before the call began are over: another one has answered since.
        for other in beginning.seen.keys where other != name && grain.ended.insert(other).inserted { changes += 1 }
        let floor = beginning.seen[name, default: 0] + (adds ? 1 : 0)
        if state.count < floor || state.count > grain.begun {
            history.violation("activation \(name) of \(key) says \(state.count), not \(floor)...\(grain.begun)")
        }
        var activation = grain.activations[name] ?? Activation()
        activation.seen = max(activation.seen, state.count)
        if adds, !activation.replies.insert(state.count).inserted {
            history.violation("two commands made activation \(name) of \(key) \(state.count)")
        }
        grain.activations[name] = activation
    }
}
