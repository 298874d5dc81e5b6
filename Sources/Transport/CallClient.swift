package import Logging
import NIOCore
import NIOPosix
package import OrchestraCore
import ServiceLifecycle

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

    private let links: [HostAndPort: PeerLink]
    private let routing: @Sendable (GrainID) -> HostAndPort?
    private let limits: TransportLimits
    private let context: ClientContext

    /// - Parameters:
    ///   - peers: where silos listen; at least one.
    ///   - identity: what this node tells the peers; a peer of another cluster is refused.
    ///   - limits: the bounds of connections and calls.
    ///   - routing: which of the peers to ask for a grain; `nil` for none now. By default the grain's key chooses
    ///     evenly among the peers.
    ///   - logger: for connections that come, go and fail, at most one line a minute for each repeated failure.
    package init(
        peers: [HostAndPort], identity: NodeIdentity = NodeIdentity(nodeID: "client", role: .gateway),
        limits: TransportLimits = TransportLimits(), routing: (@Sendable (GrainID) -> HostAndPort?)? = nil,
        logger: Logger
    ) {
        self.limits = limits
        context = ClientContext(identity: identity, limits: limits, logger: logger)
        var links: [HostAndPort: PeerLink] = [:]
        for peer in peers where links[peer] == nil {
            links[peer] = PeerLink(
                peer: peer, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), context: context)
        }
        self.links = links
        self.routing =
            routing ?? { grain in
                guard peers.count > 1 else { return peers.first }
                return peers[Int(partition(forKey: grain.key.utf8, count: Int32(clamping: peers.count)))]
            }
    }

    /// Each peer with the state of its connection.
    package var status: [HostAndPort: PeerStatus] { links.mapValues(\.status) }

    /// Whether there is a connection to every peer.
    package var isConnected: Bool {
        !links.isEmpty
            && links.values.allSatisfy { link in
                if case .connected = link.status { true } else { false }
            }
    }

    /// What happened since the start.
    package var counters: TransportCounters.Snapshot { context.counters.snapshot }

    /// Connects, and keeps connected until the graceful shutdown of the surrounding service group or the cancellation
    /// of the task. Then new calls fail as `unavailable`, those in progress have the drain timeout to finish.
    package func run() async throws {
        for link in links.values { link.start() }
        try? await gracefulShutdown()
        await withDiscardingTaskGroup { group in
            for link in links.values {
                group.addTask { await link.shutDown() }
            }
        }
    }

    /// - Throws: what the owner answered; or `unavailable`, `outcomeUnknown` (see above), `overloaded` when too many
    ///   calls wait for this peer, `deadlineExceeded` when `timeLeft` passed, `invalidArgument` or `tooLarge` for a
    ///   request that cannot be sent.
    package func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        try CallCodec.check(request, limits: limits)
        guard let peer = routing(request.grain), let link = links[peer] else {
            throw OrchestraError(
                .unavailable, "no silo is known for \(request.grain)",
                nextStep: "name the silos' addresses in the configuration, or wait until one has joined")
        }
        let call = PendingCall(request: request, deadline: .now() + TimeAmount(request.timeLeft))
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                call.continuation = continuation
                link.submit(call)
            }
        } onCancel: {
            link.cancel(call)
        }
        return try result.get()
    }
}

/// What all links of a client share.
struct ClientContext: Sendable {
    let identity: NodeIdentity
    let limits: TransportLimits
    let logger: Logger
    let counters = TransportCounters(side: "client")
    let logLimiter = LogLimiter()
}
