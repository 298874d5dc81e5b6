import Logging
import NIOCore
import OrchestraCore
import Synchronization

/// The grain calls of a node, those it makes and those it answers, over its connections for calls.
///
/// Callers hand their calls over under a lock and wake the event loop once for all that come meanwhile; there they get
/// an id, wait in order for a connection that can be written to, and go out many in one write. Calls that wait and
/// calls that were sent are in one table with their deadlines.
///
/// `@unchecked Sendable`: all mutable state is touched on the event loop only, except `inbox`, which has its own lock,
/// and `handler`, which is set before the network starts.
final class CallHub: ConnectionUser, @unchecked Sendable {
    private struct Inbox {
        var calls: [PendingCall] = []
        var cancelled: [PendingCall] = []
        var isScheduled = false
        var isClosed = false
    }

    let table: ConnectionTable
    /// Answers the calls of others; a node without one only makes calls.
    var handler: (any GrainCallHandler)?
    /// Calls of others in progress.
    let work: WorkGauge
    private(set) var isDraining = false

    private let inbox = Mutex(Inbox())
    private var calls = CallTable<PendingCall>()
    private var links: [HostAndPort: CallLink] = [:]
    private var sessions: [ObjectIdentifier: CallSession] = [:]
    private var deadlineTimer: (at: UInt64, timer: Scheduled<Void>)?
    private var finished: [(call: PendingCall, result: Result<GrainCallReply, OrchestraError>)] = []

    init(table: ConnectionTable) {
        self.table = table
        work = WorkGauge(maximumCount: table.limits.maximumCalls, maximumBytes: table.limits.maximumCallBytes)
    }

    var limits: TransportLimits { table.limits }

    // MARK: From other threads

    /// Takes a call on, or answers at once that it cannot.
    func submit(_ call: PendingCall) {
        let isTaken = enqueue { inbox in
            guard !inbox.isClosed else { return false }
            inbox.calls.append(call)
            return true
        }
        guard !isTaken else { return }
        call.link.work.release(bytes: call.request.payload.count)
        call.continuation?.resume(returning: .failure(call.failure(.unavailable, "this node is shutting down")))
    }

    func cancel(_ call: PendingCall) {
        _ = enqueue { inbox in
            guard !inbox.isClosed else { return false }
            inbox.cancelled.append(call)
            return true
        }
    }

    func add(_ link: CallLink) {
        table.eventLoop.execute {
            self.links[link.peer] = link
            if link.isUnused { link.use(self.session(for: link)) }
        }
    }

    /// New calls are refused from here on.
    func closeInbox() {
        inbox.withLock { $0.isClosed = true }
    }

    /// Fails what is left, and closes what the links hold.
    func closeLinks(_ closing: [CallLink]) async {
        try? await table.eventLoop.submit {
            self.takeInbox()
            for link in closing {
                link.close()
                self.links[link.peer] = nil
                let left = self.calls.removeAll { $0.link === link }
                for call in left {
                    self.finish(call, .failure(call.failure(.unavailable, "this node is shutting down")))
                }
            }
            self.resumeFinished()
        }.get()
    }

    private func enqueue(_ append: (inout Inbox) -> Bool) -> Bool {
        var mustWake = false
        let isAccepted = inbox.withLock { inbox in
            guard append(&inbox) else { return false }
            mustWake = !inbox.isScheduled
            inbox.isScheduled = true
            return true
        }
        if mustWake { table.eventLoop.execute { self.takeInbox() } }
        return isAccepted
    }

    // MARK: Calls of this node

    private func takeInbox() {
        let (submitted, cancelled) = inbox.withLock { inbox in
            defer {
                inbox.calls = []
                inbox.cancelled = []
                inbox.isScheduled = false
            }
            return (inbox.calls, inbox.cancelled)
        }
        for call in cancelled { giveUp(call) }
        var touched: [CallLink] = []
        for call in submitted {
            if call.isCancelled {
                finish(call, .failure(call.failure(.unavailable, "the caller gave up")))
            } else if call.link.isClosed {
                finish(call, .failure(call.failure(.unavailable, "this node is shutting down")))
            } else {
                let id = calls.insert(call, deadline: call.deadline.uptimeNanoseconds)
                call.id = id
                call.link.enqueue(id)
                if touched.last !== call.link { touched.append(call.link) }
            }
        }
        table.dialed.count(calls: submitted.count, overloaded: 0)
        for link in touched { sendWaiting(of: link) }
        resumeFinished()
        watchDeadlines()
    }

    private func giveUp(_ call: PendingCall) {
        call.isCancelled = true
        guard let id = call.id, calls.remove(id) != nil else { return }
        call.session?.cancel(id)
        finish(call, .failure(call.failure(.unavailable, "the caller gave up")))
    }

    /// Writes what waits, as long as there is a connection and it takes more.
    func sendWaiting(of link: CallLink) {
        guard let session = link.session, link.hasWaiting else { return }
        let now = NIODeadline.now()
        while session.connection.isWritable, let id = link.nextWaiting() {
            guard let call = calls[id] else { continue }
            call.session = session
            session.send(call.request, id: id, timeLeft: Duration(call.deadline - now))
        }
        session.connection.flush()
    }

    /// - Parameter session: where the answer came; another one's calls are none of its business.
    func received(_ result: Result<GrainCallReply, OrchestraError>, id: UInt64, on session: CallSession) {
        guard let call = calls[id], call.session === session else { return }
        _ = calls.remove(id)
        finish(call, result)
    }

    private func finish(_ call: PendingCall, _ result: Result<GrainCallReply, OrchestraError>) {
        call.id = nil
        finished.append((call, result))
        // Last: it may end the session, and with it all that would resume the caller later.
        call.session?.callEnded()
    }

    /// Gives the bounds back for all calls that ended in this wake-up, then wakes their callers: in this order, so that
    /// a caller's next call finds room.
    func resumeFinished() {
        guard !finished.isEmpty else { return }
        let ended = finished
        finished.removeAll(keepingCapacity: true)
        var index = 0
        while index < ended.count {
            let link = ended[index].call.link
            var bytes = 0
            let start = index
            while index < ended.count, ended[index].call.link === link {
                bytes += ended[index].call.request.payload.count
                index += 1
            }
            link.work.release(index - start, bytes: bytes)
        }
        for (call, result) in ended {
            call.continuation?.resume(returning: result)
            call.continuation = nil
            call.session = nil
        }
    }

    private func watchDeadlines() {
        let earliest = calls.earliestDeadline
        guard earliest < deadlineTimer?.at ?? .max else { return }
        deadlineTimer?.timer.cancel()
        let timer = table.eventLoop.scheduleTask(deadline: .uptimeNanoseconds(earliest)) {
            self.deadlineTimer = nil
            self.expire(now: .now())
        }
        deadlineTimer = (earliest, timer)
    }

    private func expire(now: NIODeadline) {
        for call in calls.removeExpired(at: now.uptimeNanoseconds) {
            if let id = call.id { call.session?.cancel(id) }
            finish(call, .failure(call.link.expiry(of: call)))
        }
        // Ids of calls that expired while they waited: without a connection nobody else takes them out.
        for link in links.values { link.forgetWaiting { calls[$0] == nil } }
        resumeFinished()
        watchDeadlines()
    }

    // MARK: Connections

    func refusal(of peer: RemoteNode) -> WireError? {
        isDraining ? WireError(.leaving, "\(table.settings.identity) is shutting down") : nil
    }

    func opened(_ connection: Connection, _ peer: RemoteNode) -> any ConnectionSession {
        let session = CallSession(hub: self, connection: connection, peer: peer)
        sessions[ObjectIdentifier(session)] = session
        table.logger.debug(
            "a connection for calls is open",
            metadata: ["node": "\(peer)", "dialed": "\(connection.isDialer ? "by this node" : "by the peer")"])
        for link in links.values where link.matches(connection, peer) { link.use(session) }
        return session
    }

    /// The connection that a link may use without dialing, if the peer has dialed.
    func session(for link: CallLink) -> CallSession? {
        sessions.values.first { link.matches($0.connection, $0.peer) && $0.connection.isOpen && !$0.isLeaving }
    }

    func ended(_ session: CallSession, _ end: ConnectionEnd) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        let sent = calls.removeAll { $0.session === session }
        for call in sent {
            finish(call, .failure(call.failure(.unavailable, "the connection to \(call.link.peer) ended: \(end)")))
        }
        resumeFinished()
        for link in session.links { link.sessionEnded(session, end, cut: sent.count) }
    }

    // MARK: Shutdown of the serving half

    /// Refuses new calls and connections, and waits until the calls in progress have ended or the time has passed.
    func drain() async {
        try? await table.eventLoop.submit {
            self.isDraining = true
            for session in self.sessions.values { session.beginDraining() }
        }.get()
        if await !work.waitUntilIdle(within: limits.drainTimeout) {
            table.logger.warning(
                "calls were cut off by the shutdown",
                metadata: ["calls": "\(work.count)", "after": "\(limits.drainTimeout)"])
        }
    }
}
