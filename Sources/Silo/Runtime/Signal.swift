import Synchronization

/// Wakes one waiting task. A notification without a waiter is kept for the next one; several count as one.
final class Signal: Sendable {
    private struct State {
        var isPending = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func notify() {
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard let waiter = state.waiter else {
                state.isPending = true
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    /// Waits for a notification, or for the task to be cancelled. One task at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await waitForNotification(orUntil: { Task.isCancelled })
        } onCancel: {
            notify()
        }
    }

    /// Waits for a notification, also in a task that is cancelled. One task at a time.
    func waitThroughCancellation() async {
        await waitForNotification(orUntil: { false })
    }

    private func waitForNotification(orUntil isOver: () -> Bool) async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.isPending || isOver() {
                    state.isPending = false
                    return true
                }
                precondition(state.waiter == nil, "two tasks wait for one signal")
                state.waiter = continuation
                return false
            }
            if isDone { continuation.resume() }
        }
    }
}
