internal import CRdKafka
internal import Synchronization

/// A pointer into librdkafka that may be used from any thread; its owner sees to it that it is not used after its end.
struct NativePointer: @unchecked Sendable {
    // librdkafka's handles and queues lock themselves.
    let raw: OpaquePointer
}

/// A queue of librdkafka that one task reads without blocking a thread.
///
/// librdkafka calls back only when the queue turns from empty to non-empty. So a reader that has not seen it empty
/// must not sleep. The order that loses no wake-up: ``arm()``, then poll until empty, then ``wait()``, which returns at
/// once if the callback has come since.
final class WakingQueue: Sendable {
    private struct State {
        var hasNews = true
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    /// `nil` once destroyed. Held while polling, so that nothing is destroyed under a reader. The callback comes with
    /// librdkafka's lock of the queue held, so it must not (and does not) take this one.
    private let queue: Mutex<NativePointer?>
    private let name: String

    /// Takes over a queue.
    init(_ raw: OpaquePointer, name: String) {
        self.name = name
        queue = Mutex(NativePointer(raw: raw))
        rd_kafka_queue_cb_event_enable(
            raw,
            { _, opaque in
                guard let opaque else { return }
                Unmanaged<WakingQueue>.fromOpaque(opaque).takeUnretainedValue().wake()
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        destroy()
    }

    /// Says that what comes from now on is news.
    func arm() {
        state.withLock { $0.hasNews = false }
    }

    /// Suspends until something has come since ``arm()``.
    ///
    /// - Throws: ``EventLogError`` with `closed` after ``shut()``, or when the task is cancelled.
    func wait() async throws(EventLogError) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    precondition(state.waiter == nil, "\(name) is read by two tasks at once")
                    if state.hasNews || state.isClosed || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            takeWaiter()?.resume()
        }
        try check()
    }

    /// - Throws: ``EventLogError`` with `closed` after ``shut()``, or when the task is cancelled.
    func check() throws(EventLogError) {
        if Task.isCancelled {
            throw EventLogError(kind: .closed, name: "_DESTROY", message: "reading \(name) was cancelled")
        }
        if state.withLock({ $0.isClosed }) { throw .closed(name) }
    }

    /// Ends all waiting; reading fails from now on.
    func shut() {
        let waiter = state.withLock { state in
            state.isClosed = true
            return take(&state)
        }
        waiter?.resume()
    }

    /// Polls without waiting.
    ///
    /// - Parameter visit: gets each event, which is destroyed when it returns; returns whether to go on.
    func poll(_ visit: (OpaquePointer) -> Bool) {
        queue.withLock { queue in
            guard let queue else { return }
            while let event = rd_kafka_queue_poll(queue.raw, 0) {
                defer { rd_kafka_event_destroy(event) }
                guard visit(event) else { return }
            }
        }
    }

    /// Ends the queue, before its client is destroyed.
    ///
    /// - Parameter last: runs before the queue is destroyed; no callbacks come any more.
    func destroy(_ last: () -> Void = {}) {
        shut()
        let taken = queue.withLock { queue in
            defer { queue = nil }
            return queue
        }
        guard let taken else { return }
        rd_kafka_queue_cb_event_enable(taken.raw, nil, nil)
        last()
        rd_kafka_queue_destroy(taken.raw)
    }

    private func wake() {
        let waiter = state.withLock { state in
            state.hasNews = true
            return take(&state)
        }
        waiter?.resume()
    }

    private func takeWaiter() -> CheckedContinuation<Void, Never>? {
        state.withLock { take(&$0) }
    }

    private func take(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        defer { state.waiter = nil }
        return state.waiter
    }
}
