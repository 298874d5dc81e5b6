/// A value that comes once to one task that waits for it: `OneShot` for a world, which has one thread and so needs no
/// lock.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class Promise<Value: Sendable>: @unchecked Sendable {
    private var result: Value?
    private var waiter: CheckedContinuation<Value, Never>?

    /// Gives the value; later ones are ignored.
    func resolve(_ value: Value) {
        guard result == nil else { return }
        result = value
        waiter?.resume(returning: value)
        waiter = nil
    }

    /// Waits for the value; one task only.
    ///
    /// - Parameter cancelled: the value if the waiting task is cancelled first.
    func value(ifCancelled cancelled: Value) async -> Value {
        if let result { return result }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if let result { continuation.resume(returning: result) } else { waiter = continuation }
            }
        } onCancel: {
            resolve(cancelled)
        }
    }
}
