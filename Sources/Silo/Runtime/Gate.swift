import DequeModule
import Synchronization

/// Lets a bounded number of tasks through at a time, in the order in which they came.
final class Gate: Sendable {
    private struct State {
        var free: Int
        var waiting: Deque<OneShot<Bool>> = []
    }

    private let state: Mutex<State>

    init(limit: Int) {
        state = Mutex(State(free: limit))
    }

    /// Runs `body` when there is room. Cancelling a task that waits lets it through at once: its own calls will fail.
    ///
    /// - Parameter patience: after this long a task goes through though there is no room; `nil`: never.
    func enter<Result>(patience: Duration? = nil, _ body: () async throws -> Result) async rethrows -> Result {
        let isEntered = await acquire(patience)
        defer { if isEntered { release() } }
        return try await body()
    }

    private func acquire(_ patience: Duration?) async -> Bool {
        let turn: OneShot<Bool>? = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            let turn = OneShot<Bool>()
            state.waiting.append(turn)
            return turn
        }
        guard let turn else { return true }
        guard let patience else { return await turn.value(ifCancelled: false) }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                if (try? await Task.sleep(for: patience)) != nil { turn.resolve(false) }
            }
            defer { group.cancelAll() }
            return await turn.value(ifCancelled: false)
        }
    }

    private func release() {
        state.withLock { state in
            while let turn = state.waiting.popFirst() {
                if turn.resolve(true) { return }
            }
            state.free += 1
        }
    }
}
