package import CoreMetrics
package import Logging
package import Membership
import NIOCore
import OrchestraCore
import ServiceLifecycle
package import Transport

/// A node's place in the cluster, for as long as the node runs: it joins, knows the others, and announces that it leaves.
///
/// Name it after everything whose work others should take over: services end in reverse order, so the cluster hears of
/// the leave before this node stops serving, and the network, named first, closes its port last.
package final class MembershipService: Service {
    /// How long the announcement of the leave may take. Usually three rounds of gossip.
    private static let leaveLimit = TimeAmount.seconds(2)

    /// The live silos, as often as they change: the latest view for each consumer.
    package let views = LatestValue<MembershipView>()

    private let network: PeerNetwork
    private let configuration: MembershipConfiguration
    private let metrics: any MetricsFactory
    private let logger: Logger
    private let driver = Transport.OneShot<MembershipDriver>()

    /// - Parameters:
    ///   - network: made with `takesGossip`; it must run in the same service group, and listen.
    ///   - configuration: seeds, and what others are told.
    ///   - metrics: where `orchestra_membership_*` go; default the process's.
    ///   - logger: for who comes and goes.
    package init(
        network: PeerNetwork, _ configuration: MembershipConfiguration,
        metrics: any MetricsFactory = MetricsSystem.factory, logger: Logger
    ) {
        self.metrics = metrics
        self.network = network
        self.configuration = configuration
        self.logger = logger
    }

    /// Returns once this node knows the cluster, or has found that it is the first.
    ///
    /// - Throws: `CancellationError`, or why it could not begin.
    package func waitUntilJoined() async throws { try await driver.value().joined.value() }

    /// What this node knows of all members.
    ///
    /// - Throws: `CancellationError`, or why it could not begin.
    package func members() async throws -> ClusterMembers {
        try await driver.value().members(cluster: network.identity.clusterName)
    }

    /// Tells the others another share of partitions than the configured one.
    ///
    /// - Parameter weight: relative to others; 0 takes none.
    package func setWeight(_ weight: UInt16) async throws { try await driver.value().setWeight(weight) }

    /// Joins, and takes part until the graceful shutdown of the surrounding service group or the cancellation of the task.
    ///
    /// - Throws: ``OrchestraError`` with `badConfiguration` if the node has no address that others could reach.
    package func run() async throws {
        let driver: MembershipDriver
        do {
            driver = try await cancelWhenGracefulShutdown { try await self.makeDriver() }
        } catch {
            self.driver.finish(.failure(error))
            views.finish()
            // Told to stop before it began: nobody knows of this node.
            if error is CancellationError { return }
            throw error
        }
        self.driver.finish(.success(driver))
        driver.start()
        await withDiscardingTaskGroup { group in
            // Also while leaving, and until the service ends: what is not consumed stops the network. It goes first: a node
            // that is busy must not seem dead.
            group.addTask(priority: .high) { [network] in
                for await input in network.gossip.inputs { await driver.handle(input) }
            }
            try? await gracefulShutdown()
            if !Task.isCancelled { await driver.leave(within: Self.leaveLimit) }
            await driver.stop()
            group.cancelAll()
        }
    }

    private func makeDriver() async throws -> MembershipDriver {
        guard let advertised = try await network.advertisedAddress(), let address = NodeAddress(advertised) else {
            throw OrchestraError(
                .badConfiguration, "this node has no address that others could reach",
                nextStep: "let it listen on a certain address, or say with cluster.advertise where others reach it")
        }
        let book = await SeedBook(configuration, advertised: advertised)
        let seeds = try await book.seeds(logger: logger)
        let labels: [MemberDescription.Label] =
            configuration.version.isEmpty
            ? [] : [.init(name: ClusterMembers.Member.versionLabel, value: String(configuration.version.prefix(60)))]
        let identity = network.identity
        let membership = Membership(
            id: NodeID(identity.nodeID), generation: UInt64(clamping: identity.generation),
            description: MemberDescription(
                role: MemberRole(identity.role), address: address, weight: configuration.weight, labels: labels),
            seeds: seeds, settings: configuration.settings)
        logger.info(
            seeds.isEmpty ? "no seeds: this node may be the first of its cluster" : "joining",
            metadata: ["advertised": "\(advertised)", "seeds": "\(seeds.map(\.description).joined(separator: " "))"])
        return MembershipDriver(
            membership, network: network, seeds: book, views: views, metrics: metrics, logger: logger)
    }
}
