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
    func enter<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        let isEntered = await acquire()
        defer { if isEntered { release() } }
        return try await body()
    }

    private func acquire() async -> Bool {
        let turn: OneShot<Bool>? = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            let turn = OneShot<Bool>()
            state.waiting.append(turn)
            return turn
        }
        return await turn?.value(ifCancelled: false) ?? true
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
