package import Logging
import NIOCore
import NIOPosix
package import OrchestraCore
import ServiceLifecycle

/// Who a node is in the network, and how it lets others in.
package struct PeerNetworkConfiguration: Sendable {
    package var identity: NodeIdentity
    /// Where to listen; `nil` for a node that only dials. Port 0 takes a free one.
    package var listen: HostAndPort?
    /// Where others reach this node, if that is another address than `listen` (behind a port mapping, or when listening
    /// on all addresses). Port 0 stands for the one it listens on. A node that does not listen advertises nothing.
    package var advertise: HostAndPort?
    /// What every node of the cluster knows; `nil` lets everybody in who knows the cluster's name.
    package var secret: ClusterSecret?
    /// `nil`: plain TCP.
    package var tls: TLSFiles?
    package var limits = TransportLimits()

    package init(
        identity: NodeIdentity, listen: HostAndPort? = nil, advertise: HostAndPort? = nil,
        secret: ClusterSecret? = nil, tls: TLSFiles? = nil, limits: TransportLimits = TransportLimits()
    ) {
        self.identity = identity
        self.listen = listen
        self.advertise = advertise
        self.secret = secret
        self.tls = tls
        self.limits = limits
    }
}

/// The connections of one node: one port for gossip and calls, one connection for each peer and purpose.
///
/// Grain calls are served and made by ``CallServer`` and ``CallClient``, which are given this; the membership protocol
/// works with ``gossip``. The listener closes only when it is told to: a refused dial proves to others that this node
/// no longer serves, so it must come after serving has ended. As a service it is therefore named before those that use
/// it: services end in reverse order.
package final class PeerNetwork: Service {
    let table: ConnectionTable
    let calls: CallHub
    /// For the membership protocol; its inputs must be consumed.
    package let gossip: Gossip
    private let configuration: PeerNetworkConfiguration
    private let bound = OneShot<Int>()
    private let reachable = OneShot<HostAndPort?>()
    private let listener = OneShot<(any Channel)?>()

    /// - Parameters:
    ///   - takesGossip: whether somebody consumes ``gossip``; without it connections for gossip are refused.
    ///   - logger: for what comes, goes and is refused, at most one line a minute for each peer and reason.
    /// - Throws: ``OrchestraError`` with `badConfiguration` for TLS files that cannot be used.
    package convenience init(
        _ configuration: PeerNetworkConfiguration, takesGossip: Bool = false, logger: Logger
    ) throws(OrchestraError) {
        self.init(configuration, try configuration.tls?.contexts(), takesGossip: takesGossip, logger: logger)
    }

    /// A network without TLS, which cannot fail to be made.
    convenience init(plain configuration: PeerNetworkConfiguration, logger: Logger) {
        self.init(configuration, nil, takesGossip: false, logger: logger)
    }

    private init(
        _ configuration: PeerNetworkConfiguration, _ tls: TLSContexts?, takesGossip: Bool, logger: Logger
    ) {
        self.configuration = configuration
        let settings = NetworkSettings(
            identity: configuration.identity, secret: configuration.secret, tls: tls, limits: configuration.limits,
            logger: logger)
        table = ConnectionTable(eventLoop: MultiThreadedEventLoopGroup.singleton.next(), settings: settings)
        calls = CallHub(table: table)
        gossip = Gossip(table: table)
        table.users[.calls] = calls
        if takesGossip { table.users[.gossip] = gossip.user }
    }

    package var identity: NodeIdentity { configuration.identity }

    /// Later handshakes tell this generation: the cluster has ended the one that the node began with.
    package func setGeneration(_ generation: Int64) {
        table.eventLoop.execute { self.table.generation = generation }
    }

    /// What happened at connections that others dialed, since the start.
    package var acceptedCounters: TransportCounters.Snapshot { table.accepted.snapshot }

    /// What happened at connections that this node dialed, since the start.
    package var dialedCounters: TransportCounters.Snapshot { table.dialed.snapshot }

    /// - Returns: the port, once the network listens; 0 if it does not listen at all.
    /// - Throws: `unavailable` if it cannot listen there, `CancellationError` if the waiting task is cancelled.
    package func boundPort() async throws -> Int { try await bound.value() }

    /// - Returns: where others reach this node, once it listens; `nil` if nobody can dial it.
    /// - Throws: as ``boundPort()``.
    package func advertisedAddress() async throws -> HostAndPort? {
        _ = try await bound.value()
        return try await reachable.value()
    }

    /// Listens, if there is an address for that. The network can dial from here on.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` if the address cannot be listened on.
    package func start() async throws(OrchestraError) {
        sayWhoIsLetIn()
        guard let address = configuration.listen else {
            // An operator's command in the container of a node has that node's settings, but is not that node.
            advertise(nil)
            listener.finish(.success(nil))
            return bound.finish(.success(0))
        }
        do {
            let channel = try await table.listen(at: address).get()
            let port = channel.localAddress?.port ?? address.port
            advertise(advertised(listening: HostAndPort(host: address.host, port: port)))
            listener.finish(.success(channel))
            bound.finish(.success(port))
            table.logger.info(
                "listening for other nodes", metadata: ["address": "\(HostAndPort(host: address.host, port: port))"])
        } catch {
            let failure = OrchestraError(
                .unavailable, "cannot listen for other nodes on \(address): \(error)",
                nextStep: "free the port, or choose another one (0 takes a free one)", cause: error)
            listener.finish(.success(nil))
            bound.finish(.failure(failure))
            throw failure
        }
    }

    private func sayWhoIsLetIn() {
        guard configuration.secret == nil, configuration.tls == nil, configuration.listen != nil else { return }
        table.logger.notice(
            "no cluster secret is configured: whoever reaches this port and knows the cluster's name is let in",
            metadata: ["cluster": "\(configuration.identity.clusterName)"])
    }

    private func advertised(listening: HostAndPort) -> HostAndPort? {
        if let advertise = configuration.advertise {
            return advertise.port == 0 ? HostAndPort(host: advertise.host, port: listening.port) : advertise
        }
        guard listening.host == "0.0.0.0" || listening.host == "::" else { return listening }
        guard let host = InterfaceAddress.first(isIPv6: listening.host == "::") else {
            table.logger.warning(
                "others cannot dial this node: it listens on all addresses, has none of its own and advertises none",
                metadata: ["listen": "\(listening)"])
            return nil
        }
        let address = HostAndPort(host: host, port: listening.port)
        table.logger.notice(
            "this node listens on all addresses; it tells others one of them (cluster.advertise would name another)",
            metadata: ["advertised": "\(address)"])
        return address
    }

    private func advertise(_ address: HostAndPort?) {
        reachable.finish(.success(address))
        table.eventLoop.execute { self.table.advertised = address }
    }

    /// Dials an address on a new connection, whatever connections there are, and closes it after the handshake. The
    /// last resort before a node is called dead: a connection that does not answer is not a node that does not answer.
    ///
    /// - Parameters:
    ///   - expecting: the node id that must answer; `nil` takes any.
    ///   - timeout: for everything, from the name's look-up to the end of the handshake.
    /// - Returns: who answered, or that the dial was ``ConnectionEnd/refused``, ``ConnectionEnd/timedOut``, or failed
    ///   otherwise.
    package func probe(
        _ address: HostAndPort, expecting: String? = nil, timeout: Duration
    ) async -> Result<RemoteNode, ConnectionEnd> {
        await withCheckedContinuation { continuation in
            table.eventLoop.execute {
                self.table.dial(address, .probe, expecting: expecting, timeout: timeout) { result in
                    let answer = result.flatMap { connection -> Result<RemoteNode, ConnectionEnd> in
                        connection.remote.map { .success($0) } ?? .failure(.timedOut)
                    }
                    continuation.resume(returning: answer)
                }
            }
        }
    }

    /// Takes no more connections; those that are open go on. Dials of others are refused by the kernel from here on.
    package func closeListener() async {
        guard let channel = try? await listener.value() else { return }
        try? await channel.close()
    }

    /// Closes the listener and every connection.
    package func shutDown() async {
        await closeListener()
        gossip.close()
        try? await table.eventLoop.flatSubmit { self.table.shutDown(within: .seconds(1)) }.get()
    }

    /// Listens until the graceful shutdown of the surrounding service group, or until the task is cancelled; then closes
    /// everything.
    package func run() async throws {
        try await start()
        try? await gracefulShutdown()
        await shutDown()
    }
}
