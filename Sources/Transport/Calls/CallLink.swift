import DequeModule
import Logging
import NIOCore
import OrchestraCore
import Synchronization

/// The calls to one peer that wait, and the connection they go over, whoever dialed it.
///
/// `@unchecked Sendable`: touched on the node's event loop only, except `work` and `visibleStatus`, which have locks.
final class CallLink: @unchecked Sendable {
    private enum Phase {
        /// Nobody called `use` yet. Legal exits: connecting, ready, closed.
        case idle
        /// An attempt to connect, or its handshake, is under way. Legal exits: ready, pausing, closed.
        case connecting
        /// Legal exits: ready (another connection), leaving, pausing, closed.
        case ready(CallSession)
        /// The peer takes no more calls here but still answers. Legal exits: ready, pausing, closed.
        case leaving(CallSession)
        /// Waits for the next attempt. Legal exits: connecting, ready, closed.
        case pausing
        /// Final.
        case closed
    }

    let peer: HostAndPort
    /// Calls that wait or were sent.
    let work: WorkGauge
    private unowned let hub: CallHub
    private let visibleStatus = Mutex(CallClient.PeerStatus.disconnected(reason: nil))
    private var phase = Phase.idle
    /// Who answered there last.
    private var nodeID: String?
    private var backoff: Backoff
    private var waiting = Deque<UInt64>()
    private var reconnectTimer: Scheduled<Void>?

    init(peer: HostAndPort, hub: CallHub) {
        self.peer = peer
        self.hub = hub
        let limits = hub.limits
        work = WorkGauge(maximumCount: limits.maximumClientCalls, maximumBytes: limits.maximumClientCallBytes)
        backoff = Backoff(minimum: limits.minimumBackoff, maximum: limits.maximumBackoff)
    }

    /// From any thread.
    var status: CallClient.PeerStatus { visibleStatus.withLock { $0 } }

    // MARK: Waiting calls

    var hasWaiting: Bool { !waiting.isEmpty }

    func enqueue(_ id: UInt64) { waiting.append(id) }

    func nextWaiting() -> UInt64? { waiting.popFirst() }

    func forgetWaiting(where isGone: (UInt64) -> Bool) {
        guard waiting.count > 64 else { return }
        waiting.removeAll(where: isGone)
    }

    func expiry(of call: PendingCall) -> OrchestraError {
        let time = "no answer from \(peer) within \(call.request.timeLeft)"
        guard !call.isSent, case .disconnected(let reason) = status else {
            return call.failure(.deadlineExceeded, time)
        }
        return call.failure(.unavailable, "\(time): no connection\(reason.map { " (\($0))" } ?? "")")
    }

    // MARK: The connection

    var session: CallSession? {
        if case .ready(let session) = phase { session } else { nil }
    }

    var isUnused: Bool {
        if case .idle = phase { true } else { false }
    }

    var isClosed: Bool {
        if case .closed = phase { true } else { false }
    }

    /// Whether a connection is one to this peer: it was dialed here, the node says it is reached here, or it answered
    /// here before.
    func matches(_ connection: Connection, _ remote: RemoteNode) -> Bool {
        connection.address == peer || remote.advertised == peer || remote.identity.nodeID == nodeID
    }

    /// Takes a connection into use; dials if there is none.
    func use(_ session: CallSession?) {
        if case .closed = phase { return }
        guard let session else { return connect() }
        reconnectTimer?.cancel()
        reconnectTimer = nil
        phase = .ready(session)
        session.add(self)
        nodeID = session.peer.identity.nodeID
        visibleStatus.withLock { $0 = .connected(session.peer.identity) }
        hub.table.logger.info("connected", metadata: ["peer": "\(peer)", "node": "\(session.peer.identity)"])
        hub.sendWaiting(of: self)
    }

    private func connect() {
        phase = .connecting
        hub.table.dial(peer, .calls) { result in
            // Success is told by the hub, when the connection opens.
            if case .failure(let end) = result { self.dialFailed(end) }
        }
    }

    private func dialFailed(_ end: ConnectionEnd) {
        guard case .connecting = phase else { return }
        if case .failed(let error) = end, error.kind == .duplicate, let session = hub.session(for: self) {
            return use(session)
        }
        pause(end, cut: 0)
    }

    /// The peer shuts down: what was sent is still answered, what waits goes to its successor.
    func sessionIsLeaving(_ session: CallSession) {
        guard case .ready(let current) = phase, current === session else { return }
        phase = .leaving(session)
        visibleStatus.withLock { $0 = .disconnected(reason: "the peer is shutting down") }
    }

    func sessionEnded(_ session: CallSession, _ end: ConnectionEnd, cut: Int) {
        switch phase {
        case .ready(let current) where current === session: pause(end, cut: cut)
        case .leaving(let current) where current === session: pause(end, cut: cut)
        default: break
        }
    }

    func worked() { backoff.reset() }

    private func pause(_ end: ConnectionEnd, cut: Int) {
        phase = .pausing
        visibleStatus.withLock { $0 = .disconnected(reason: "\(end)") }
        let pause = backoff.next(fraction: .random(in: 0..<1))
        if let suppressed = hub.table.logLimiter.admit("\(peer) \(end)") {
            hub.table.logger.warning(
                "not connected",
                metadata: [
                    "peer": "\(peer)", "reason": "\(end)", "callsCut": "\(cut)", "suppressed": "\(suppressed)",
                ])
        }
        reconnectTimer = hub.table.eventLoop.scheduleTask(in: TimeAmount(pause)) {
            self.reconnectTimer = nil
            guard case .pausing = self.phase else { return }
            self.use(self.hub.session(for: self))
        }
    }

    func close() {
        reconnectTimer?.cancel()
        phase = .closed
        visibleStatus.withLock { $0 = .disconnected(reason: "this node is shutting down") }
    }
}
