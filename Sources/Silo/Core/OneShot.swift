import Synchronization

/// A value that comes once, from whoever is first, to one task that waits for it.
package final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case awaited(CheckedContinuation<Value, Never>)
        case resolved(Value)
    }

    private let state = Mutex(State.empty)

    package init() {}

    package var isResolved: Bool {
        state.withLock { if case .resolved = $0 { true } else { false } }
    }

    /// Gives the value; later ones are ignored.
    ///
    /// - Returns: whether this was the first.
    @discardableResult
    package func resolve(_ value: Value) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, Never>?) in
            switch state {
            case .resolved: return (false, nil)
            case .empty:
                state = .resolved(value)
                return (true, nil)
            case .awaited(let continuation):
                state = .resolved(value)
                return (true, continuation)
            }
        }
        continuation?.resume(returning: value)
        return isFirst
    }

    /// Waits for the value, also in a task that is cancelled; one task only.
    package func value() async -> Value {
        await withCheckedContinuation { continuation in
            let early: Value? = state.withLock { state in
                guard case .resolved(let value) = state else {
                    state = .awaited(continuation)
                    return nil
                }
                return value
            }
            if let early { continuation.resume(returning: early) }
        }
    }

    /// Waits for the value; one task only.
    ///
    /// - Parameter cancelled: the value if the waiting task is cancelled first.
    package func value(ifCancelled cancelled: Value) async -> Value {
        await withTaskCancellationHandler {
            await value()
        } onCancel: {
            resolve(cancelled)
        }
    }
}
