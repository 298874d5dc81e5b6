import OrchestraCore
import Synchronization

/// Lets one task do what several want at the same time; the others wait for its result.
///
/// No task is made: the first caller does the work in its own. When it is cancelled, one of those that wait takes
/// over.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private enum Outcome: Sendable {
        case done(Result<Value, OrchestraError>)
        /// Nobody works on it any more: ask again.
        case abandoned
        case cancelled
    }

    private struct State {
        /// Who waits for each key that is being worked on.
        var waiters: [Key: [UInt64: CheckedContinuation<Outcome, Never>]] = [:]
        var lastID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// - Parameters:
    ///   - key: callers with equal keys want the same.
    ///   - work: done by the first of them; it should look first whether an earlier one left a result.
    /// - Throws: what `work` throws; `unavailable` when the task is cancelled.
    func run(
        _ key: Key, _ work: () async throws(OrchestraError) -> Value
    ) async throws(OrchestraError) -> Value {
        while true {
            let (leads, id) = state.withLock { state in
                state.lastID += 1
                guard state.waiters[key] == nil else { return (false, state.lastID) }
                state.waiters[key] = [:]
                return (true, state.lastID)
            }
            if leads { return try await lead(key, work) }
            switch await follow(key, id) {
            case .done(let result): return try result.get()
            case .abandoned: continue
            case .cancelled: throw OrchestraError(.unavailable, "cancelled while waiting for the schema registry")
            }
        }
    }

    private func lead(
        _ key: Key, _ work: () async throws(OrchestraError) -> Value
    ) async throws(OrchestraError) -> Value {
        do throws(OrchestraError) {
            let value = try await work()
            finish(key, .done(.success(value)))
            return value
        } catch {
            finish(key, Task.isCancelled ? .abandoned : .done(.failure(error)))
            throw error
        }
    }

    private func finish(_ key: Key, _ outcome: Outcome) {
        let waiters = state.withLock { $0.waiters.removeValue(forKey: key) } ?? [:]
        for continuation in waiters.values { continuation.resume(returning: outcome) }
    }

    private func follow(_ key: Key, _ id: UInt64) async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    guard state.waiters[key] != nil else { return true }
                    state.waiters[key]?[id] = continuation
                    return false
                }
                if isLate { continuation.resume(returning: .abandoned) }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel(key, id) }
            }
        } onCancel: {
            cancel(key, id)
        }
    }

    private func cancel(_ key: Key, _ id: UInt64) {
        state.withLock { $0.waiters[key]?.removeValue(forKey: id) }?.resume(returning: .cancelled)
    }
}
