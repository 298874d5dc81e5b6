package import Logging
package import OrchestraCore
import ServiceLifecycle

/// Answers grain calls of other nodes.
///
/// Many calls of one connection are in progress at once and are answered in any order. Every bound of
/// ``TransportLimits`` holds; what a hostile or broken peer does ends its own connection and nothing else.
///
/// Shutdown: calls in progress are finished (long polls are told to ask again), new ones are refused as `unavailable`.
/// The listener closes after that, with the network: a refused dial proves that this node no longer serves.
package final class CallServer: Service {
    private let network: PeerNetwork
    private let ownsNetwork: Bool

    /// - Parameters:
    ///   - network: whose connections for calls are served; not started yet. One server for each network.
    ///   - handler: answers the calls, and is called from many tasks at once. A task is cancelled when its caller
    ///     goes away, cancels, or when its time has passed.
    package init(network: PeerNetwork, handler: any GrainCallHandler) {
        self.network = network
        ownsNetwork = false
        network.calls.handler = handler
    }

    /// A server with a network of its own, which it starts and ends.
    ///
    /// - Parameters:
    ///   - host: the address to listen on, a name or an IP address.
    ///   - port: the TCP port; 0 takes a free one, see ``boundPort()``.
    ///   - identity: what this node tells its callers; nodes of another cluster are refused.
    package init(
        host: String, port: Int, handler: any GrainCallHandler,
        identity: NodeIdentity = NodeIdentity(nodeID: "silo", role: .silo), limits: TransportLimits = TransportLimits(),
        logger: Logger
    ) {
        network = PeerNetwork(
            plain: PeerNetworkConfiguration(
                identity: identity, listen: HostAndPort(host: host, port: port), limits: limits), logger: logger)
        ownsNetwork = true
        network.calls.handler = handler
    }

    /// What happened since the start.
    package var counters: TransportCounters.Snapshot { network.acceptedCounters }

    /// Calls in progress.
    package var callsInProgress: Int { network.calls.work.count }

    /// - Returns: the port, once the server listens.
    /// - Throws: `unavailable` if it cannot listen there, `CancellationError` if the waiting task is cancelled.
    package func boundPort() async throws -> Int { try await network.boundPort() }

    /// Serves until the graceful shutdown of the surrounding service group, or until the task is cancelled.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` if the address cannot be listened on.
    package func run() async throws {
        if ownsNetwork { try await network.start() }
        try? await gracefulShutdown()
        await network.calls.drain()
        // After serving has stopped, not before: see above.
        if ownsNetwork { await network.shutDown() }
        if await !network.calls.work.waitUntilIdle(within: .seconds(5)) {
            network.table.logger.error(
                "handlers of cancelled calls still run", metadata: ["calls": "\(callsInProgress)"])
        }
    }
}
