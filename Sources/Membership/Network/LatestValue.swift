import Synchronization

/// A value that changes, observed by any number of tasks, each at its own pace: who is slow misses what was replaced
/// meanwhile and gets the latest. So nothing ever queues up.
package final class LatestValue<Value: Sendable>: AsyncSequence, Sendable {
    package typealias Element = Value
    package typealias Failure = Never

    private struct State {
        var value: Value?
        /// Counts the values; an iterator remembers which one it had last.
        var version: UInt64 = 0
        var isFinished = false
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// The latest value; `nil` before the first.
    package var current: Value? { state.withLock { $0.value } }

    func set(_ value: Value) {
        wake { state in
            guard !state.isFinished else { return }
            state.value = value
            state.version += 1
        }
    }

    /// A value that somebody has not taken yet is still delivered, then the sequences end.
    func finish() { wake { $0.isFinished = true } }

    private func wake(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let source: LatestValue
        private var seen: UInt64 = 0

        fileprivate init(source: LatestValue) { self.source = source }

        /// - Returns: the latest value once it is another than the last one returned; `nil` after the end or when the
        ///   task is cancelled.
        package mutating func next() async -> Value? {
            while true {
                switch source.take(after: seen) {
                case .value(let value, let version):
                    seen = version
                    return value
                case .finished: return nil
                case .none:
                    if Task.isCancelled { return nil }
                    await source.change(after: seen)
                }
            }
        }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(source: self) }

    private enum Taken {
        case value(Value, version: UInt64)
        case finished
        case none
    }

    private func take(after seen: UInt64) -> Taken {
        state.withLock { state in
            if let value = state.value, state.version > seen { return .value(value, version: state.version) }
            return state.isFinished ? .finished : .none
        }
    }

    /// Returns when there may be something new, or the task is cancelled.
    private func change(after seen: UInt64) async {
        let id: UInt64 = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.version > seen || state.isFinished || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
