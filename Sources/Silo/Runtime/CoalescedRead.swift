import Synchronization

/// A read that many ask for and few perform. A caller gets a result whose reading began after it asked: whoever comes
/// while one is under way shares the next.
final class CoalescedRead<Value: Sendable>: Sendable {
    private enum Turn: Sendable {
        /// Read, for yourself and for these.
        case lead([OneShot<Turn>])
        case result(Result<Value, any Error>)
    }

    private struct State {
        var isReading = false
        var next: [OneShot<Turn>] = []
    }

    private let state = Mutex(State())
    private let read: @Sendable () async throws -> Value

    init(_ read: @escaping @Sendable () async throws -> Value) {
        self.read = read
    }

    func value() async throws -> Value {
        let wait: OneShot<Turn>? = state.withLock { state in
            guard state.isReading else {
                state.isReading = true
                return nil
            }
            let wait = OneShot<Turn>()
            state.next.append(wait)
            return wait
        }
        guard let wait else { return try await lead([]) }
        switch await wait.value(ifCancelled: .result(.failure(CancellationError()))) {
        case .result(let result): return try result.get()
        case .lead(let others): return try await lead(others)
        }
    }

    private func lead(_ others: [OneShot<Turn>]) async throws -> Value {
        let result: Result<Value, any Error>
        do {
            result = .success(try await read())
        } catch {
            result = .failure(error)
        }
        for other in others { other.resolve(.result(result)) }
        handOver()
        return try result.get()
    }

    /// Lets the first of those who have come meanwhile read for all of them.
    private func handOver() {
        state.withLock { state in
            var waiting = state.next
            state.next = []
            while !waiting.isEmpty {
                let leader = waiting.removeFirst()
                if leader.resolve(.lead(waiting)) { return }
            }
            state.isReading = false
        }
    }
}
