internal import CRdKafka
internal import DequeModule
internal import Dispatch
internal import Foundation
internal import Logging
internal import OrchestraCore
internal import Synchronization

/// One librdkafka client and the one thread that belongs to it.
///
/// The thread waits inside `rd_kafka_poll` without a time-out: librdkafka wakes it for each callback, and
/// ``run(_:)`` wakes it for each job. So callbacks are served at once, calls that block never occupy a thread of
/// Swift's pool, and an idle client costs nothing.
///
/// Life: open → (``close(finally:)``) closing: no new jobs or uses, those under way finish → the final job → destroyed.
final class ClientHandle: Sendable {
    /// Runs on the client's thread and may block.
    typealias Job = @Sendable (OpaquePointer) -> Void

    private struct State {
        var jobs: Deque<Job> = []
        var alarm: (at: ContinuousClock.Instant, job: Job)?
        var isClosing = false
        var isDestroyed = false
        var users = 0
        var finalJob: Job?
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private enum Step {
        case run(Job)
        case wait(milliseconds: Int32)
        case finish(Job?)
    }

    // A pointer that librdkafka itself synchronises; destroyed only after the last user has left (`State.users`).
    private nonisolated(unsafe) let raw: OpaquePointer
    private nonisolated(unsafe) let mainQueue: OpaquePointer
    private let state = Mutex(State())
    private let lastUserLeft = DispatchSemaphore(value: 0)
    let observer: ClientObserver
    /// For messages: which client this is.
    let name: String
    let bootstrapServers: String
    private let leavesGroup: Bool

    /// - Parameters:
    ///   - configuration: all properties.
    ///   - name: names the thread and appears in messages.
    ///   - onDelivery: see ``ClientObserver/Delivery``; only for producers.
    /// - Throws: ``EventLogError`` with `badConfiguration`, or `fatal` if librdkafka cannot start its threads.
    init(
        _ configuration: ClientConfiguration, name: String, logger: Logger,
        onDelivery: ClientObserver.Delivery? = nil
    ) throws(EventLogError) {
        let isConsumer = configuration.role == .consumer
        let native = try configuration.makeNative()
        let observer = ClientObserver(
            logger: logger, statistics: StatisticsReporter(client: name, isConsumer: isConsumer),
            onDelivery: onDelivery)
        observer.install(in: native)
        let (created, words) = withErrorText { text, size in
            rd_kafka_new(isConsumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, native, text, size)
        }
        guard let created else {
            rd_kafka_conf_destroy(native)
            throw EventLogError(
                kind: .badConfiguration, name: "_INVALID_ARG", message: "\(name) cannot start: \(words)",
                nextStep: "correct the Kafka properties")
        }
        self.observer = observer
        self.name = name
        leavesGroup = configuration.leavesGroup
        self.bootstrapServers = configuration.base.bootstrapServers
        raw = created
        mainQueue = rd_kafka_queue_get_main(created)
        let thread = Thread { [self] in serve() }
        thread.name = name
        thread.start()
    }

    /// Runs a job on the client's thread, after those before it, and waits for it.
    ///
    /// - Throws: what the job fails with; `closed` if the client is closing.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) -> Result<Value, EventLogError>
    ) async throws(EventLogError) -> Value {
        let outcome: Result<Value, EventLogError> = await withCheckedContinuation { continuation in
            let accepted = enqueue { handle in continuation.resume(returning: body(handle)) }
            if !accepted { continuation.resume(returning: .failure(.closed(name))) }
        }
        return try outcome.get()
    }

    /// Runs a job on the client's thread without waiting for it.
    ///
    /// - Returns: `false` if the client is closing; the job will not run.
    @discardableResult
    func enqueue(_ job: @escaping Job) -> Bool {
        let accepted = state.withLock { state in
            guard !state.isClosing else { return false }
            state.jobs.append(job)
            // Inside the lock: the queue lives at least until `isClosing` is seen by the thread.
            rd_kafka_queue_yield(mainQueue)
            return true
        }
        return accepted
    }

    /// Runs `job` at `instant` unless another alarm is set or this one is cancelled before.
    func setAlarm(at instant: ContinuousClock.Instant, _ job: @escaping Job) {
        state.withLock { state in
            guard !state.isClosing else { return }
            state.alarm = (instant, job)
            rd_kafka_queue_yield(mainQueue)
        }
    }

    func cancelAlarm() {
        state.withLock { $0.alarm = nil }
    }

    /// Makes calls that do not block, on the caller's thread, while the client certainly exists.
    func use<Value>(_ body: (OpaquePointer) -> Value) throws(EventLogError) -> Value {
        try useWithMainQueue { handle, _ in body(handle) }
    }

    /// As ``use(_:)``, with the queue that the client's thread serves.
    func useWithMainQueue<Value>(
        _ body: (_ handle: OpaquePointer, _ mainQueue: OpaquePointer) -> Value
    ) throws(EventLogError) -> Value {
        let handle = try enter()
        defer { leave() }
        return body(handle, mainQueue)
    }

    /// Begins a use that outlasts a call; the client exists until ``leave()``.
    func enter() throws(EventLogError) -> OpaquePointer {
        let entered = state.withLock { state in
            if state.isClosing { return false }
            state.users += 1
            return true
        }
        guard entered else { throw .closed(name) }
        return raw
    }

    /// Ends what ``enter()`` began.
    func leave() {
        let isLast = state.withLock { state in
            state.users -= 1
            return state.isClosing && state.users == 0
        }
        if isLast { lastUserLeft.signal() }
    }

    /// Ends the client: queued jobs finish, then `job` runs, then everything is destroyed and the thread ends.
    /// Later calls wait for the first.
    func close(finally job: @escaping Job = { _ in }) async {
        beginClosing(finally: job)
        await withCheckedContinuation { continuation in
            let isDestroyed = state.withLock { state in
                if !state.isDestroyed { state.closers.append(continuation) }
                return state.isDestroyed
            }
            if isDestroyed { continuation.resume() }
        }
    }

    /// As ``close(finally:)`` for an owner that goes away and cannot wait.
    func beginClosing(finally job: @escaping Job = { _ in }) {
        state.withLock { state in
            guard !state.isClosing else { return }
            state.isClosing = true
            state.alarm = nil
            state.finalJob = job
            rd_kafka_queue_yield(mainQueue)
        }
    }

    private func serve() {
        while true {
            switch nextStep() {
            case .run(let job): job(raw)
            case .wait(let milliseconds): rd_kafka_poll(raw, milliseconds)
            case .finish(let job):
                // Whoever came in before the closing leaves soon: what they do does not block.
                if state.withLock({ $0.users > 0 }) { lastUserLeft.wait() }
                job?(raw)
                destroy()
                return
            }
        }
    }

    /// A job that serves callbacks itself (a flush, say) may swallow the wake-up of a later one; so the queue of jobs
    /// is looked at before each wait.
    private func nextStep() -> Step {
        state.withLock { state in
            if let job = state.jobs.popFirst() { return .run(job) }
            if state.isClosing { return .finish(state.finalJob) }
            guard let alarm = state.alarm else { return .wait(milliseconds: -1) }
            let left = alarm.at - .now
            guard left > .zero else {
                state.alarm = nil
                return .run(alarm.job)
            }
            return .wait(milliseconds: Int32(clamping: left.wholeMilliseconds) &+ 1)
        }
    }

    private func destroy() {
        rd_kafka_queue_destroy(mainQueue)
        rd_kafka_destroy_flags(raw, leavesGroup ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
        let closers = state.withLock { state in
            state.isDestroyed = true
            state.finalJob = nil
            defer { state.closers = [] }
            return state.closers
        }
        for closer in closers { closer.resume() }
    }
}

extension EventLogError {
    /// An error of a call to the cluster; if nobody answered it says why the last connection failed.
    init(
        _ code: rd_kafka_resp_err_t, _ context: String, detail: String? = nil, kind: Kind? = nil,
        on client: ClientHandle
    ) {
        var words = detail
        if let reason = client.observer.transportError,
            code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT
        {
            words = (detail ?? String(cString: rd_kafka_err2str(code))) + "; last connection error: \(reason)"
        }
        self.init(
            code: code, context: context, detail: words, kind: kind, bootstrapServers: client.bootstrapServers)
    }
}
