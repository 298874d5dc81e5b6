package import Logging
import NIOCore
import NIOPosix
package import OrchestraCore
import ServiceLifecycle
import Synchronization

/// Answers grain calls of other nodes over TCP.
///
/// Many calls of one connection are in progress at once and are answered in any order. Every bound of
/// ``TransportLimits`` holds; what a hostile or broken peer does ends its own connection and nothing else.
///
/// Shutdown: calls in progress are finished (long polls are told to ask again), new ones are refused as
/// `unavailable`, and only then the listener closes: a refused dial proves that this node no longer serves.
package final class CallServer: Service {
    private let host: String
    private let port: Int
    private let shared: ServerContext
    private let bound = OneShot<Int>()

    /// - Parameters:
    ///   - host: the address to listen on, a name or an IP address.
    ///   - port: the TCP port; 0 takes a free one, see ``boundPort()``.
    ///   - handler: answers the calls, and is called from many tasks at once. A task is cancelled when its caller
    ///     goes away, cancels, or when its time has passed.
    ///   - identity: what this node tells its callers; nodes of another cluster are refused.
    ///   - limits: the bounds of connections and calls.
    ///   - logger: for connections that are refused or break the protocol, at most one line a minute for each peer.
    package init(
        host: String, port: Int, handler: any GrainCallHandler,
        identity: NodeIdentity = NodeIdentity(nodeID: "silo", role: .silo), limits: TransportLimits = TransportLimits(),
        logger: Logger
    ) {
        self.host = host
        self.port = port
        shared = ServerContext(handler: handler, identity: identity, limits: limits, logger: logger)
    }

    /// What happened since the start.
    package var counters: TransportCounters.Snapshot { shared.counters.snapshot }

    /// Calls in progress.
    package var callsInProgress: Int { shared.work.count }

    /// - Returns: the port, once the server listens.
    /// - Throws: `unavailable` if it cannot listen there, `CancellationError` if the waiting task is cancelled.
    package func boundPort() async throws -> Int { try await bound.value() }

    /// Listens until the graceful shutdown of the surrounding service group, or until the task is cancelled.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` if the address cannot be listened on.
    package func run() async throws {
        let listener = try await listen()
        shared.logger.info(
            "answering grain calls", metadata: ["address": "\(host):\(listener.localAddress?.port ?? port)"])
        try? await gracefulShutdown()
        await shared.drain()
        // After serving has stopped, not before: see above.
        try? await listener.close()
        await shared.closeConnections()
        if await !shared.work.waitUntilIdle(within: .seconds(5)) {
            shared.logger.error(
                "handlers of cancelled calls still run", metadata: ["calls": "\(shared.work.count)"])
        }
    }

    private func listen() async throws -> any Channel {
        let limits = shared.limits
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .socketOptions(limits)
            .childChannelInitializer { [shared] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let connection = shared.admit(channel) else {
                        return channel.close(promise: nil)
                    }
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
        do {
            let listener = try await bootstrap.bind(host: host, port: port).get()
            bound.finish(.success(listener.localAddress?.port ?? port))
            return listener
        } catch {
            let failure = OrchestraError(
                .unavailable, "cannot listen for grain calls on \(HostAndPort(host: host, port: port)): \(error)",
                nextStep: "free the port, or choose another one (0 takes a free one)", cause: error)
            bound.finish(.failure(failure))
            throw failure
        }
    }
}

/// What all connections of a server share.
final class ServerContext: Sendable {
    let handler: any GrainCallHandler
    let identity: NodeIdentity
    let limits: TransportLimits
    let logger: Logger
    let counters = TransportCounters(side: "server")
    let logLimiter = LogLimiter()
    let work: WorkGauge
    private let connections = Mutex<[ObjectIdentifier: ServerConnection]>([:])
    private let connectionGauge: WorkGauge
    private let draining = Atomic(false)

    init(handler: any GrainCallHandler, identity: NodeIdentity, limits: TransportLimits, logger: Logger) {
        self.handler = handler
        self.identity = identity
        self.limits = limits
        self.logger = logger
        work = WorkGauge(maximumCount: limits.maximumCalls, maximumBytes: limits.maximumCallBytes)
        connectionGauge = WorkGauge(maximumCount: limits.maximumConnections, maximumBytes: .max)
    }

    var isDraining: Bool { draining.load(ordering: .acquiring) }

    /// - Returns: `nil` if there are too many connections.
    func admit(_ channel: any Channel) -> ServerConnection? {
        guard connectionGauge.acquire(bytes: 0) else {
            counters.countTurnedAway()
            if let suppressed = logLimiter.admit("too many connections") {
                logger.warning(
                    "closed a new connection: there are too many",
                    metadata: ["limit": "\(limits.maximumConnections)", "suppressed": "\(suppressed)"])
            }
            return nil
        }
        let connection = ServerConnection(channel: channel, shared: self)
        connections.withLock { $0[ObjectIdentifier(connection)] = connection }
        return connection
    }

    func remove(_ connection: ServerConnection) {
        guard connections.withLock({ $0.removeValue(forKey: ObjectIdentifier(connection)) }) != nil else { return }
        connectionGauge.release(bytes: 0)
    }

    /// Refuses new calls, and waits until those in progress have ended or the drain timeout has passed.
    func drain() async {
        draining.store(true, ordering: .releasing)
        for connection in connections.withLock({ Array($0.values) }) { connection.drain() }
        if await !work.waitUntilIdle(within: limits.drainTimeout) {
            logger.warning(
                "calls were cut off by the shutdown",
                metadata: ["calls": "\(work.count)", "after": "\(limits.drainTimeout)"])
        }
    }

    /// Closes what has not closed by itself after its last answer was written.
    func closeConnections() async {
        if await connectionGauge.waitUntilIdle(within: .seconds(1)) { return }
        for connection in connections.withLock({ Array($0.values) }) { connection.close() }
        _ = await connectionGauge.waitUntilIdle(within: .seconds(1))
    }
}
