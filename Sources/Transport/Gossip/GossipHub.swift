import DequeModule
import Logging
import NIOCore
import Synchronization

/// All gossip connections of a node and the addresses that messages wait for.
///
/// `@unchecked Sendable`: touched on the node's event loop only, except `dropped`.
final class GossipHub: ConnectionUser, @unchecked Sendable {
    struct Outgoing: Sendable {
        var message: ByteBuffer
        var target: Gossip.Target
        var priority: FramePriority
    }

    let table: ConnectionTable
    let dropped = Atomic(0)
    private let inputs: PeerInputs
    private var links: [HostAndPort: GossipLink] = [:]
    private var sessions: [ObjectIdentifier: GossipSession] = [:]

    init(table: ConnectionTable, inputs: PeerInputs) {
        self.table = table
        self.inputs = inputs
    }

    private var limits: TransportLimits { table.limits }

    // MARK: Sending

    func send(_ messages: [Outgoing]) {
        var touched: [ObjectIdentifier: Connection] = [:]
        for outgoing in messages {
            guard let connection = send(outgoing) else { continue }
            touched[ObjectIdentifier(connection)] = connection
        }
        for connection in touched.values { connection.flush() }
    }

    /// - Returns: the connection to flush, if the message went to one.
    private func send(_ outgoing: Outgoing) -> Connection? {
        var frame = ByteBufferAllocator().buffer(
            capacity: Frame.headerLength + outgoing.message.readableBytes)
        frame.writeFrame(.message) { $0.writeImmutableBuffer(outgoing.message) }
        if let connection = connection(for: outgoing.target) {
            append(frame, outgoing.priority, to: connection)
            return connection
        }
        guard let address = outgoing.target.address else {
            countDropped(1)
            return nil
        }
        var link = links.removeValue(forKey: address) ?? makeLink()
        link.expecting = outgoing.target.nodeID
        countDropped(link.enqueue(GossipLink.Waiting(frame: frame, priority: outgoing.priority), limits: limits))
        links[address] = link
        switch link.phase {
        // Open, but not to the node that is meant, or not any more.
        case .idle, .open: dial(address)
        case .dialing, .pausing: break
        }
        return nil
    }

    private func connection(for target: Gossip.Target) -> Connection? {
        if let nodeID = target.nodeID {
            // A node that is known by name must be that one: another may have taken over its address.
            return table.connection(to: nodeID, .gossip)
        }
        guard let address = target.address, case .open(let connection) = links[address]?.phase else { return nil }
        return connection.isOpen ? connection : nil
    }

    private func append(_ frame: ByteBuffer, _ priority: FramePriority, to connection: Connection) {
        guard connection.queuedBytes + frame.readableBytes <= limits.maximumGossipBytes else { return countDropped(1) }
        sessions[ObjectIdentifier(connection)]?.isUsed = true
        connection.append(frame, priority)
    }

    private func countDropped(_ count: Int) {
        guard count > 0 else { return }
        dropped.add(count, ordering: .relaxed)
    }

    private func makeLink() -> GossipLink {
        if links.count >= limits.maximumGossipPeers { links = links.filter { !$0.value.isIdle } }
        return GossipLink(backoff: Backoff(minimum: limits.minimumBackoff, maximum: limits.maximumBackoff))
    }

    // MARK: Dialing

    private func dial(_ address: HostAndPort) {
        links[address]?.phase = .dialing
        let expecting = links[address]?.expecting
        table.dial(address, .gossip, expecting: expecting) { result in
            // Success is told by `opened`.
            if case .failure(let end) = result { self.dialFailed(address, expecting: expecting, end) }
        }
    }

    private func dialFailed(_ address: HostAndPort, expecting: String?, _ end: ConnectionEnd) {
        guard var link = links[address], case .dialing = link.phase else { return }
        link.phase = .pausing
        let pause = link.backoff.next(fraction: .random(in: 0..<1))
        table.eventLoop.scheduleTask(in: TimeAmount(pause)) { self.pauseEnded(address) }
        if case .failed(let error) = end, error.kind == .duplicate {
            // The connection that makes this one needless is there, or comes in a moment.
            links[address] = link
            if let nodeID = expecting, let connection = table.connection(to: nodeID, .gossip) {
                deliverWaiting(of: address, to: connection)
            }
            return
        }
        let waiting = link.takeWaiting()
        links[address] = link
        countDropped(waiting.count)
        inputs.offer(.dialFailed(address, expecting: expecting, end, droppedMessages: waiting.count))
        table.logger.debug("no gossip connection", metadata: ["peer": "\(address)", "reason": "\(end)"])
    }

    private func pauseEnded(_ address: HostAndPort) {
        guard case .pausing = links[address]?.phase else { return }
        links[address]?.phase = .idle
        if links[address]?.waiting.isEmpty == false { dial(address) }
    }

    // MARK: Connections

    func refusal(of peer: RemoteNode) -> WireError? { nil }

    func opened(_ connection: Connection, _ peer: RemoteNode) -> any ConnectionSession {
        let session = GossipSession(hub: self, connection: connection, peer: peer, now: .now())
        sessions[ObjectIdentifier(connection)] = session
        inputs.offer(.connected(peer))
        if let address = connection.address, links[address] == nil { links[address] = makeLink() }
        for address in Set([connection.address, peer.advertised].compactMap { $0 }) {
            deliverWaiting(of: address, to: connection)
        }
        for (address, link) in links where link.expecting == peer.identity.nodeID && !link.waiting.isEmpty {
            deliverWaiting(of: address, to: connection)
        }
        return session
    }

    private func deliverWaiting(of address: HostAndPort, to connection: Connection) {
        guard var link = links[address] else { return }
        let nodeID = connection.remote?.identity.nodeID
        guard link.expecting == nil || link.expecting == nodeID else { return }
        let waiting = link.takeWaiting()
        link.backoff.reset()
        link.phase = .open(connection)
        links[address] = link
        for message in waiting { append(message.frame, message.priority, to: connection) }
        connection.flush()
    }

    fileprivate func received(_ message: ByteBuffer, from peer: RemoteNode) {
        inputs.offer(.message(message, from: peer))
    }

    fileprivate func ended(_ session: GossipSession, _ end: ConnectionEnd) {
        let connection = session.connection
        sessions[ObjectIdentifier(connection)] = nil
        for (address, link) in links {
            if case .open(let current) = link.phase, current === connection { links[address]?.phase = .idle }
        }
        inputs.offer(.disconnected(session.peer, end))
    }

    fileprivate var isPaused: Bool { inputs.isFull }

    /// From any thread.
    func scheduleResumption() { table.eventLoop.execute { self.resumeReading() } }

    private func resumeReading() {
        for session in sessions.values { session.connection.resumeReading() }
    }
}

/// The gossip of one connection.
private final class GossipSession: ConnectionSession {
    let connection: Connection
    let peer: RemoteNode
    /// Whether something was sent or received since the last look.
    var isUsed = false
    private let hub: GossipHub
    private var idleSince: NIODeadline

    init(hub: GossipHub, connection: Connection, peer: RemoteNode, now: NIODeadline) {
        self.hub = hub
        self.connection = connection
        self.peer = peer
        idleSince = now
    }

    var isPaused: Bool { hub.isPaused }

    func received(_ frame: Frame) throws(WireError) {
        guard frame.kind == .message else {
            throw WireError(.badKind, "a frame of kind \(frame.kind) on a connection for gossip")
        }
        isUsed = true
        hub.received(frame.body, from: peer)
    }

    func readCompleted() {}

    func becameWritable() {}

    func look(at now: NIODeadline) {
        if isUsed {
            isUsed = false
            idleSince = now
        } else if connection.isDialer, now - idleSince > TimeAmount(hub.table.limits.gossipIdleTimeout) {
            connection.close("nothing was said for \(hub.table.limits.gossipIdleTimeout)")
        }
    }

    func ended(_ end: ConnectionEnd) { hub.ended(self, end) }
}
