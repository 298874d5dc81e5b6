import Synchronization

/// Counts work in progress against bounds, and tells when there is none left.
package final class WorkGauge: Sendable {
    private struct State {
        var count = 0
        var bytes = 0
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    }

    private let maximumCount: Int
    private let maximumBytes: Int
    private let state = Mutex(State())

    package init(maximumCount: Int, maximumBytes: Int) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    package var count: Int { state.withLock { $0.count } }

    /// - Returns: whether one more piece of work of this size fits; if so it counts until ``release(_:bytes:)``.
    ///   The first piece always fits the byte bound, however large.
    package func acquire(bytes: Int) -> Bool {
        state.withLock { state in
            guard state.count < maximumCount, state.count == 0 || state.bytes + bytes <= maximumBytes else {
                return false
            }
            state.count += 1
            state.bytes += bytes
            return true
        }
    }

    package func release(_ count: Int = 1, bytes: Int) {
        let waiters: [CheckedContinuation<Bool, Never>] = state.withLock { state in
            state.count -= count
            state.bytes -= bytes
            precondition(state.count >= 0 && state.bytes >= 0, "released more than acquired: \(state)")
            guard state.count == 0, !state.waiters.isEmpty else { return [] }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    /// - Returns: whether all work ended within `timeout`; `false` also when the waiting task is cancelled
    ///   while there is work.
    package func waitUntilIdle(within timeout: Duration) async -> Bool {
        guard count > 0 else { return true }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.waitUntilIdle() }
            group.addTask {
                try? await Task.sleep(for: timeout)
                return false
            }
            let isIdle = await group.next() ?? false
            group.cancelAll()
            return isIdle
        }
    }

    private func waitUntilIdle() async -> Bool {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if state.count == 0 { return true }
                    if Task.isCancelled { return false }
                    state.waiters[id] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: false)
        }
    }
}
