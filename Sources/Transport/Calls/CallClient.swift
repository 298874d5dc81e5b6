package import Logging
import NIOCore
package import OrchestraCore
import ServiceLifecycle
import Synchronization

/// Passes grain calls on to the nodes that own the grains.
///
/// It keeps one connection to each peer and connects again, with growing jittered pauses, when one breaks. A call that
/// finds no connection waits for one within its deadline. When a connection breaks, calls that were not sent go on
/// waiting; of those that were, queries fail as `unavailable` and commands as `outcomeUnknown`.
package final class CallClient: Service, GrainCallHandler {
    /// What is known of the connection to a peer.
    package enum PeerStatus: Sendable, Hashable {
        /// No connection; why the last one failed or ended, if there was one.
        case disconnected(reason: String?)
        case connected(NodeIdentity)
    }

    private struct Links {
        var byPeer: [HostAndPort: CallLink] = [:]
        var isRunning = false
    }

    private let network: PeerNetwork
    private let ownsNetwork: Bool
    private let links: Mutex<Links>
    private let routing: @Sendable (GrainID) -> HostAndPort?

    /// - Parameters:
    ///   - network: whose connections for calls are used. One client for each network.
    ///   - peers: nodes to connect to at once and to stay connected to.
    ///   - routing: where to ask for a grain, one of `peers` or another node, which gets a connection then; `nil` for
    ///     nowhere now.
    package init(
        network: PeerNetwork, peers: [HostAndPort] = [], routing: @escaping @Sendable (GrainID) -> HostAndPort?
    ) {
        self.network = network
        ownsNetwork = false
        self.routing = routing
        links = Mutex(Links(byPeer: CallClient.links(to: peers, network)))
    }

    /// A client with a network of its own, which it starts and ends, and which does not listen.
    ///
    /// - Parameters:
    ///   - peers: where silos listen; at least one.
    ///   - identity: what this node tells the peers; a peer of another cluster is refused.
    ///   - routing: which of the peers to ask for a grain; `nil` for none now. By default the grain's key chooses
    ///     evenly among the peers.
    package convenience init(
        peers: [HostAndPort], identity: NodeIdentity = CallClient.anonymous,
        limits: TransportLimits = TransportLimits(), routing: (@Sendable (GrainID) -> HostAndPort?)? = nil,
        logger: Logger
    ) {
        let network = PeerNetwork(plain: PeerNetworkConfiguration(identity: identity, limits: limits), logger: logger)
        self.init(owning: network, peers: peers, routing: routing)
    }

    /// A client that starts and ends the network that it is given, and spreads grains evenly over the peers.
    ///
    /// - Parameter routing: as above.
    package init(
        owning network: PeerNetwork, peers: [HostAndPort], routing: (@Sendable (GrainID) -> HostAndPort?)? = nil
    ) {
        self.network = network
        ownsNetwork = true
        links = Mutex(Links(byPeer: CallClient.links(to: peers, network)))
        self.routing =
            routing ?? { grain in
                guard peers.count > 1 else { return peers.first }
                return peers[Int(partition(forKey: grain.key.utf8, count: Int32(clamping: peers.count)))]
            }
    }

    /// An identity for a client that nobody needs to know by name.
    package static var anonymous: NodeIdentity {
        NodeIdentity(nodeID: "client-\(UInt64.random(in: 0 ... .max))", role: .gateway)
    }

    private static func links(to peers: [HostAndPort], _ network: PeerNetwork) -> [HostAndPort: CallLink] {
        Dictionary(peers.map { ($0, CallLink(peer: $0, hub: network.calls)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Each peer with the state of its connection.
    package var status: [HostAndPort: PeerStatus] { links.withLock { $0.byPeer }.mapValues(\.status) }

    /// The state of the connection to one peer; `nil` if nobody has asked for one.
    package func status(of peer: HostAndPort) -> PeerStatus? { links.withLock { $0.byPeer[peer] }?.status }

    package func isConnected(to peer: HostAndPort) -> Bool {
        if case .connected = status(of: peer) { true } else { false }
    }

    /// Whether there is a connection to every peer.
    package var isConnected: Bool {
        let status = status
        return !status.isEmpty
            && status.values.allSatisfy { status in
                if case .connected = status { true } else { false }
            }
    }

    /// What happened since the start.
    package var counters: TransportCounters.Snapshot { network.dialedCounters }

    /// Connects, and keeps connected until the graceful shutdown of the surrounding service group or the cancellation
    /// of the task. Then new calls fail as `unavailable`, those in progress have the drain timeout to finish.
    package func run() async throws {
        if ownsNetwork { try await network.start() }
        let first = links.withLock { links in
            links.isRunning = true
            return Array(links.byPeer.values)
        }
        for link in first { network.calls.add(link) }
        try? await gracefulShutdown()
        network.calls.closeInbox()
        let all = links.withLock { Array($0.byPeer.values) }
        await withDiscardingTaskGroup { group in
            for link in all { group.addTask { await self.finishCalls(of: link) } }
        }
        await network.calls.closeLinks(all)
        if ownsNetwork { await network.shutDown() }
    }

    private func finishCalls(of link: CallLink) async {
        if await !link.work.waitUntilIdle(within: network.calls.limits.drainTimeout) {
            network.table.logger.warning(
                "calls were cut off by the shutdown",
                metadata: ["peer": "\(link.peer)", "calls": "\(link.work.count)"])
        }
    }

    /// Connects to a peer that has become a member, and stays connected to it until it is forgotten.
    package func connect(_ peer: HostAndPort) { _ = link(to: peer) }

    /// Forgets a peer that is no longer a member. Calls that wait for it fail; the connection stays for its other side.
    package func forget(_ peer: HostAndPort) async {
        guard let link = links.withLock({ $0.byPeer.removeValue(forKey: peer) }) else { return }
        await network.calls.closeLinks([link])
    }

    private func link(to peer: HostAndPort) -> CallLink {
        let (link, isNew) = links.withLock { links -> (CallLink, Bool) in
            if let link = links.byPeer[peer] { return (link, false) }
            let link = CallLink(peer: peer, hub: network.calls)
            links.byPeer[peer] = link
            return (link, links.isRunning)
        }
        if isNew { network.calls.add(link) }
        return link
    }

    /// - Throws: what the owner answered; or `unavailable`, `outcomeUnknown` (see above), `overloaded` when too many
    ///   calls wait for this peer, `deadlineExceeded` when `timeLeft` passed, `invalidArgument` or `tooLarge` for a
    ///   request that cannot be sent.
    package func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        guard let peer = routing(request.grain) else {
            throw OrchestraError(
                .unavailable, "no silo is known for \(request.grain)",
                nextStep: "name the silos' addresses in the configuration, or wait until one has joined")
        }
        return try await handle(request, at: peer)
    }

    /// Sends a call to this peer, whatever the routing says.
    ///
    /// - Throws: as ``handle(_:)``.
    package func handle(
        _ request: GrainCallRequest, at peer: HostAndPort
    ) async throws(OrchestraError) -> GrainCallReply {
        try CallCodec.check(request, limits: network.calls.limits)
        let link = link(to: peer)
        let call = PendingCall(request: request, deadline: .now() + TimeAmount(request.timeLeft), link: link)
        guard link.work.acquire(bytes: request.payload.count) else {
            network.table.dialed.count(calls: 0, overloaded: 1)
            throw call.failure(.overloaded, "\(link.work.count) calls wait for \(peer) already")
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                call.continuation = continuation
                network.calls.submit(call)
            }
        } onCancel: {
            network.calls.cancel(call)
        }
        return try result.get()
    }
}
