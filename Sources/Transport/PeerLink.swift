import DequeModule
import Logging
import NIOCore
import NIOPosix
import OrchestraCore
import Synchronization

/// The calls to one peer, and the connection to it.
///
/// Callers hand their calls over under a lock and wake the event loop once for all that come meanwhile; there they get
/// an id, wait in order for a connection that can be written to, and go out many in one write. Calls that wait and
/// calls that were sent are in one table with their deadlines.
///
/// `@unchecked Sendable`: all mutable state is touched on `eventLoop` only, except `inbox`, `visibleStatus` and `work`,
/// which have their own locks.
final class PeerLink: @unchecked Sendable {
    private enum Phase {
        /// Nobody called `start` yet. Legal exits: connecting, closed.
        case idle
        /// An attempt to connect, or its handshake, is under way. Legal exits: ready, pausing, closed.
        case connecting
        /// Legal exits: leaving, pausing, closed.
        case ready(ClientConnection)
        /// The peer takes no more calls here but still answers. Legal exits: pausing, closed.
        case leaving(ClientConnection)
        /// Waits for the next attempt. Legal exits: connecting, closed.
        case pausing
        /// Final.
        case closed
    }

    private struct Inbox {
        var calls: [PendingCall] = []
        var cancelled: [PendingCall] = []
        var isScheduled = false
        var isClosed = false
    }

    let peer: HostAndPort
    let context: ClientContext
    private let eventLoop: any EventLoop
    private let inbox = Mutex(Inbox())
    private let visibleStatus = Mutex(CallClient.PeerStatus.disconnected(reason: nil))
    private let work: WorkGauge

    private var phase = Phase.idle
    private var current: ClientConnection?
    private var backoff: Backoff
    private var table = CallTable<PendingCall>()
    private var waiting = Deque<UInt64>()
    private var deadlineTimer: (at: UInt64, timer: Scheduled<Void>)?
    private var reconnectTimer: Scheduled<Void>?
    private var finished: [(call: PendingCall, result: Result<GrainCallReply, OrchestraError>)] = []

    init(peer: HostAndPort, eventLoop: any EventLoop, context: ClientContext) {
        self.peer = peer
        self.eventLoop = eventLoop
        self.context = context
        work = WorkGauge(
            maximumCount: context.limits.maximumClientCalls, maximumBytes: context.limits.maximumClientCallBytes)
        backoff = Backoff(minimum: context.limits.minimumBackoff, maximum: context.limits.maximumBackoff)
    }

    // MARK: From other threads

    var status: CallClient.PeerStatus { visibleStatus.withLock { $0 } }

    func submit(_ call: PendingCall) {
        guard work.acquire(bytes: call.request.payload.count) else {
            context.counters.count(calls: 0, overloaded: 1)
            call.continuation?.resume(
                returning: .failure(call.failure(.overloaded, "\(work.count) calls wait for \(peer) already")))
            return
        }
        enqueue { inbox in
            guard !inbox.isClosed else { return false }
            inbox.calls.append(call)
            return true
        } orElse: {
            work.release(bytes: call.request.payload.count)
            call.continuation?.resume(returning: .failure(call.failure(.unavailable, "this node is shutting down")))
        }
    }

    func cancel(_ call: PendingCall) {
        enqueue { inbox in
            guard !inbox.isClosed else { return false }
            inbox.cancelled.append(call)
            return true
        } orElse: {
        }
    }

    func start() {
        eventLoop.execute {
            guard case .idle = self.phase else { return }
            self.connect()
        }
    }

    /// Lets calls in progress finish within the drain timeout, fails what is left, closes the connection.
    func shutDown() async {
        inbox.withLock { $0.isClosed = true }
        if await !work.waitUntilIdle(within: context.limits.drainTimeout) {
            context.logger.warning(
                "calls were cut off by the shutdown", metadata: ["peer": "\(peer)", "calls": "\(work.count)"])
        }
        try? await eventLoop.submit { self.close() }.get()
    }

    private func enqueue(_ append: (inout Inbox) -> Bool, orElse refuse: () -> Void) {
        var mustWake = false
        let isAccepted = inbox.withLock { inbox in
            guard append(&inbox) else { return false }
            mustWake = !inbox.isScheduled
            inbox.isScheduled = true
            return true
        }
        if mustWake { eventLoop.execute { self.takeInbox() } }
        if !isAccepted { refuse() }
    }

    // MARK: Calls, on the event loop

    private func takeInbox() {
        let (calls, cancelled) = inbox.withLock { inbox in
            defer {
                inbox.calls = []
                inbox.cancelled = []
                inbox.isScheduled = false
            }
            return (inbox.calls, inbox.cancelled)
        }
        for call in cancelled {
            call.isCancelled = true
            guard let id = call.id, table.remove(id) != nil else { continue }
            if call.isSent { current?.cancel(id) }
            finish(call, .failure(call.failure(.unavailable, "the caller gave up")))
        }
        for call in calls {
            if case .closed = phase {
                finish(call, .failure(call.failure(.unavailable, "this node is shutting down")))
            } else if call.isCancelled {
                finish(call, .failure(call.failure(.unavailable, "the caller gave up")))
            } else {
                let id = table.insert(call, deadline: call.deadline.uptimeNanoseconds)
                call.id = id
                waiting.append(id)
            }
        }
        context.counters.count(calls: calls.count, overloaded: 0)
        sendWaiting()
        resumeFinished()
        watchDeadlines()
    }

    /// Writes what waits, as long as there is a connection and it takes more.
    func sendWaiting() {
        guard case .ready(let connection) = phase, !waiting.isEmpty else { return }
        let now = NIODeadline.now()
        while connection.isWritable, let id = waiting.popFirst() {
            guard let call = table[id] else { continue }
            call.isSent = true
            connection.send(call.request, id: id, timeLeft: Duration(call.deadline - now))
        }
        connection.flush()
    }

    func receive(_ reply: GrainCallReply, id: UInt64) {
        guard let call = table.remove(id) else { return }
        finish(call, .success(reply))
    }

    func receive(_ error: OrchestraError, id: UInt64) {
        guard let call = table.remove(id) else { return }
        finish(call, .failure(error))
    }

    private func finish(_ call: PendingCall, _ result: Result<GrainCallReply, OrchestraError>) {
        call.id = nil
        finished.append((call, result))
    }

    /// Gives the bounds back for all calls that ended in this wake-up, then wakes their callers: in this order, so that
    /// a caller's next call finds room.
    func resumeFinished() {
        guard !finished.isEmpty else { return }
        let ended = finished
        finished.removeAll(keepingCapacity: true)
        work.release(ended.count, bytes: ended.reduce(0) { $0 + $1.call.request.payload.count })
        for (call, result) in ended {
            call.continuation?.resume(returning: result)
            call.continuation = nil
        }
    }

    private func watchDeadlines() {
        let earliest = table.earliestDeadline
        guard earliest < deadlineTimer?.at ?? .max else { return }
        deadlineTimer?.timer.cancel()
        let timer = eventLoop.scheduleTask(deadline: .uptimeNanoseconds(earliest)) {
            self.deadlineTimer = nil
            self.expire(now: .now())
        }
        deadlineTimer = (earliest, timer)
    }

    private func expire(now: NIODeadline) {
        for call in table.removeExpired(at: now.uptimeNanoseconds) {
            if call.isSent, let id = call.id { current?.cancel(id) }
            finish(call, .failure(expiry(of: call)))
        }
        // Ids of calls that expired while they waited: without a connection nobody else takes them out.
        if waiting.count > 2 * table.count + 64 { waiting.removeAll { table[$0] == nil } }
        resumeFinished()
        watchDeadlines()
    }

    private func expiry(of call: PendingCall) -> OrchestraError {
        let time = "no answer from \(peer) within \(call.request.timeLeft)"
        guard !call.isSent, case .disconnected(let reason) = status else {
            return call.failure(.deadlineExceeded, time)
        }
        return call.failure(.unavailable, "\(time): no connection\(reason.map { " (\($0))" } ?? "")")
    }

    // MARK: The connection, on the event loop

    private func connect() {
        phase = .connecting
        let connection = ClientConnection(link: self)
        current = connection
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(context.limits.connectTimeout))
            .socketOptions(context.limits)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
            .connect(host: peer.host, port: peer.port)
            .whenFailure { error in self.connectionEnded(connection, reason: "cannot connect: \(error)") }
    }

    func connectionIsReady(_ connection: ClientConnection, node: NodeIdentity) {
        guard connection === current, case .connecting = phase else { return connection.close() }
        phase = .ready(connection)
        visibleStatus.withLock { $0 = .connected(node) }
        context.counters.countConnection()
        context.logger.info("connected", metadata: ["peer": "\(peer)", "node": "\(node)"])
        sendWaiting()
    }

    /// A peer that answers is well: the next pause may be short again.
    func connectionWorks() {
        backoff.reset()
    }

    /// The peer shuts down: what was sent is still answered, what waits goes to its successor.
    func connectionIsLeaving(_ connection: ClientConnection) {
        guard connection === current, case .ready = phase else { return }
        phase = .leaving(connection)
        visibleStatus.withLock { $0 = .disconnected(reason: "the peer is shutting down") }
    }

    func connectionEnded(_ connection: ClientConnection, reason: String) {
        guard connection === current else { return }
        current = nil
        let sent = table.removeAll { $0.isSent }
        for call in sent {
            finish(call, .failure(call.failure(.unavailable, "the connection to \(peer) ended: \(reason)")))
        }
        resumeFinished()
        if case .closed = phase { return }
        phase = .pausing
        visibleStatus.withLock { $0 = .disconnected(reason: reason) }
        let pause = backoff.next(fraction: .random(in: 0..<1))
        if let suppressed = context.logLimiter.admit("\(peer) \(reason)") {
            context.logger.warning(
                "not connected",
                metadata: [
                    "peer": "\(peer)", "reason": "\(reason)", "callsCut": "\(sent.count)",
                    "suppressed": "\(suppressed)",
                ])
        }
        reconnectTimer = eventLoop.scheduleTask(in: TimeAmount(pause)) {
            self.reconnectTimer = nil
            if case .pausing = self.phase { self.connect() }
        }
    }

    private func close() {
        phase = .closed
        reconnectTimer?.cancel()
        deadlineTimer?.timer.cancel()
        deadlineTimer = nil
        visibleStatus.withLock { $0 = .disconnected(reason: "this node is shutting down") }
        takeInbox()
        for call in table.removeAll(where: { _ in true }) {
            finish(call, .failure(call.failure(.unavailable, "this node is shutting down")))
        }
        resumeFinished()
        current?.close()
        current = nil
    }
}
