import Synchronization

/// A value that comes once, awaited by any number of tasks.
package final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        /// Legal exits: finished.
        case waiting(next: UInt64, [UInt64: CheckedContinuation<Result<Value, any Error>, Never>])
        /// Final.
        case finished(Result<Value, any Error>)
    }

    private let state = Mutex(State.waiting(next: 0, [:]))

    package init() {}

    /// The first result counts; later ones are ignored.
    package func finish(_ result: Result<Value, any Error>) {
        let waiters: [CheckedContinuation<Result<Value, any Error>, Never>] = state.withLock { state in
            guard case .waiting(_, let waiters) = state else { return [] }
            state = .finished(result)
            return Array(waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: result) }
    }

    /// - Throws: the error that it was finished with, or `CancellationError` when the waiting task is cancelled.
    package func value() async throws -> Value {
        let id: UInt64 = state.withLock { state in
            guard case .waiting(let next, let waiters) = state else { return 0 }
            state = .waiting(next: next + 1, waiters)
            return next
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Result<Value, any Error>? = state.withLock { state in
                    switch state {
                    case .finished(let result):
                        return result
                    case .waiting(let next, var waiters):
                        if Task.isCancelled { return .failure(CancellationError()) }
                        waiters[id] = continuation
                        state = .waiting(next: next, waiters)
                        return nil
                    }
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter: CheckedContinuation<Result<Value, any Error>, Never>? = state.withLock { state in
                guard case .waiting(let next, var waiters) = state else { return nil }
                let waiter = waiters.removeValue(forKey: id)
                state = .waiting(next: next, waiters)
                return waiter
            }
            waiter?.resume(returning: .failure(CancellationError()))
        }
        return try result.get()
    }
}
