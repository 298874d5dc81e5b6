import DequeModule
import Logging
import NIOCore

/// What uses the connections of one purpose. Everything here happens on the node's event loop.
protocol ConnectionUser: AnyObject {
    /// Why this node takes no connection of that peer now; `nil` if it does.
    func refusal(of peer: RemoteNode) -> WireError?
    /// A connection is open, whoever dialed.
    func opened(_ connection: Connection, _ peer: RemoteNode) -> any ConnectionSession
}

/// The use of one open connection.
protocol ConnectionSession: AnyObject {
    /// Whether nothing more is to be read for the time being.
    var isPaused: Bool { get }
    /// Any frame but those that the connection itself is about.
    func received(_ frame: Frame) throws(WireError)
    /// All frames of one read have been received.
    func readCompleted()
    func becameWritable()
    /// Called several times in the shortest time-out.
    func look(at now: NIODeadline)
    func ended(_ end: ConnectionEnd)
}

/// All connections of a node: who may come in, which one stays when there are two, and who is told.
///
/// One event loop serves a node's connections, gossip and calls alike, so that either side of a pair may use a
/// connection whoever dialed it, and nothing here needs a lock. Handlers of calls run elsewhere.
///
/// Strangers, that is accepted connections whose handshake is not done, are bounded by themselves: when there are too
/// many, the one that has been silent longest goes. Real peers need a few milliseconds for a handshake, so they are
/// let in however many connections say nothing.
///
/// `@unchecked Sendable`: touched on `eventLoop` only, except what is constant.
final class ConnectionTable: @unchecked Sendable {
    struct Key: Hashable {
        var nodeID: String
        var purpose: ConnectionPurpose
    }

    let eventLoop: any EventLoop
    let settings: NetworkSettings
    let accepted = TransportCounters(side: "server")
    let dialed = TransportCounters(side: "client")
    let logLimiter = LogLimiter()
    /// Set before the first connection.
    var users: [ConnectionPurpose: any ConnectionUser] = [:]
    /// Where others reach this node; known when it listens.
    var advertised: HostAndPort?
    /// What handshakes tell; at first that of the settings.
    var generation: Int64

    private var connections: [ObjectIdentifier: Connection] = [:]
    /// Accepted and not yet open, the oldest first; those that are not any more are skipped.
    private var strangers = Deque<Connection>()
    private var strangerCount = 0
    private var acceptedOpenCount = 0
    private var open: [Key: Connection] = [:]
    /// How many connections have been accepted and opened: tells what came first.
    private var eventCount = 0
    /// Own dials past the listener's hello.
    private var proving: [Key: Connection] = [:]
    private var isShutDown = false
    private var emptyPromise: EventLoopPromise<Void>?

    init(eventLoop: any EventLoop, settings: NetworkSettings) {
        self.eventLoop = eventLoop
        self.settings = settings
        advertised = settings.advertised
        generation = settings.identity.generation
    }

    var limits: TransportLimits { settings.limits }
    var logger: Logger { settings.logger }

    func connection(to nodeID: String, _ purpose: ConnectionPurpose) -> Connection? {
        open[Key(nodeID: nodeID, purpose: purpose)]
    }

    func makeHello(_ purpose: ConnectionPurpose) -> Hello {
        var random = SystemRandomNumberGenerator()
        let nonce = (0..<Hello.nonceLength).map { _ in UInt8.random(in: 0...255, using: &random) }
        var identity = settings.identity
        identity.generation = generation
        return Hello(identity: identity, purpose: purpose, nonce: nonce, advertised: advertised)
    }

    // MARK: Coming

    /// - Returns: `nil` if this node is shutting down.
    func accept() -> Connection? {
        guard !isShutDown else { return nil }
        if strangerCount >= limits.maximumStrangers { evictOldestStranger() }
        let connection = Connection(table: self, side: .listener, purpose: .calls, address: nil)
        eventCount += 1
        connection.acceptedAt = eventCount
        connections[ObjectIdentifier(connection)] = connection
        strangers.append(connection)
        strangerCount += 1
        connection.isStranger = true
        if strangers.count > 2 * limits.maximumStrangers { strangers.removeAll { !$0.isStranger } }
        return connection
    }

    /// A connection that this node dials from here on.
    func add(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = connection
    }

    private func evictOldestStranger() {
        while let oldest = strangers.popFirst() {
            guard oldest.isStranger else { continue }
            accepted.countEvicted()
            oldest.fail(WireError(.silent, "too many connections have not introduced themselves; this is the oldest"))
            return
        }
    }

    private func isNoStranger(_ connection: Connection) {
        guard connection.isStranger else { return }
        connection.isStranger = false
        strangerCount -= 1
        // The usual case: it is the newest or there are few.
        if let last = strangers.last, last === connection { strangers.removeLast() }
    }

    // MARK: Which one stays

    /// The dialer knows whom it reached: does it still want the connection?
    func mayProve(_ connection: Connection, to peer: RemoteNode) throws(WireError) {
        guard peer.purpose != .probe else { return }
        let key = Key(nodeID: peer.identity.nodeID, purpose: peer.purpose)
        if let existing = open[key], existing.remote?.identity.generation == peer.identity.generation {
            throw WireError(.duplicate, "there is a connection for \(peer.purpose) to \(peer.identity)")
        }
        guard proving[key] == nil else {
            throw WireError(.duplicate, "\(peer.identity) is being dialed for \(peer.purpose) at another address")
        }
        proving[key] = connection
    }

    /// The listener has a valid proof: does it take the connection?
    func mayWelcome(_ connection: Connection, _ peer: RemoteNode) throws(WireError) {
        guard !isShutDown else { throw WireError(.leaving, "\(settings.identity) is shutting down") }
        guard peer.purpose != .probe else { return }
        guard let user = users[peer.purpose] else {
            throw WireError(.badKind, "\(settings.identity) takes no connections for \(peer.purpose)")
        }
        if let refusal = user.refusal(of: peer) { throw refusal }
        let key = Key(nodeID: peer.identity.nodeID, purpose: peer.purpose)
        if let existing = open[key]?.remote, existing.identity.generation > peer.identity.generation {
            throw WireError(
                .staleGeneration,
                "\(peer.identity) has been restarted: generation \(existing.identity.generation) is known here, "
                    + "not \(peer.identity.generation)")
        }
        // Both dialed: the dial of the lower node id goes through. It may have done so while the other's proof was on its
        // way; a peer that comes again after it has lost a connection is accepted after that was opened.
        let isThrough =
            open[key].map { own in
                own.isDialer && own.remote?.identity.generation == peer.identity.generation
                    && own.openedAt > connection.acceptedAt
            } ?? false
        if isThrough || proving[key] != nil, settings.identity.nodeID < peer.identity.nodeID {
            throw WireError(.duplicate, "\(settings.identity) is dialing \(peer.identity) for \(peer.purpose) itself")
        }
        guard open[key] != nil || acceptedOpenCount < limits.maximumConnections else {
            accepted.countTurnedAway()
            throw WireError(.tooMany, "\(settings.identity) has \(acceptedOpenCount) connections")
        }
    }

    /// - Returns: how the connection is used from here on; `nil` if it is not.
    func opened(_ connection: Connection, _ peer: RemoteNode) -> (any ConnectionSession)? {
        isNoStranger(connection)
        (connection.isDialer ? dialed : accepted).countConnection()
        guard peer.purpose != .probe, let user = users[peer.purpose] else { return nil }
        let key = Key(nodeID: peer.identity.nodeID, purpose: peer.purpose)
        if proving[key] === connection { proving[key] = nil }
        eventCount += 1
        connection.openedAt = eventCount
        let replaced = open.updateValue(connection, forKey: key)
        if !connection.isDialer { acceptedOpenCount += 1 }
        replaced?.close("the peer opened a new connection")
        return user.opened(connection, peer)
    }

    // MARK: Going

    func ended(_ connection: Connection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        isNoStranger(connection)
        if let remote = connection.remote {
            let key = Key(nodeID: remote.identity.nodeID, purpose: remote.purpose)
            if proving[key] === connection { proving[key] = nil }
            if open[key] === connection { open[key] = nil }
            if connection.wasOpened, !connection.isDialer, remote.purpose != .probe { acceptedOpenCount -= 1 }
        }
        if connections.isEmpty { emptyPromise?.succeed() }
    }

    /// Closes every connection and takes no more. The listener must be closed before.
    ///
    /// - Parameter timeout: how long what is still to be written may take.
    func shutDown(within timeout: TimeAmount) -> EventLoopFuture<Void> {
        isShutDown = true
        guard !connections.isEmpty else { return eventLoop.makeSucceededVoidFuture() }
        let promise = emptyPromise ?? eventLoop.makePromise(of: Void.self)
        emptyPromise = promise
        for connection in connections.values { connection.close("this node is shutting down") }
        let timer = eventLoop.scheduleTask(in: timeout) {
            for connection in self.connections.values { connection.abort() }
            promise.succeed()
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        return promise.futureResult
    }
}

/// What all connections of a node are made with.
struct NetworkSettings: Sendable {
    var identity: NodeIdentity
    var advertised: HostAndPort?
    var secret: ClusterSecret?
    var tls: TLSContexts?
    var limits: TransportLimits
    var logger: Logger
}
