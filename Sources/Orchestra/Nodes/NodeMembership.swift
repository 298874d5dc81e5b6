import Logging
import MembershipNetwork
import OrchestraCore
import Transport

/// What makes a node a member of its cluster.
struct NodeMembership: Sendable {
    /// To be the first of the node's services: its port closes last.
    let network: PeerNetwork
    /// To be the last: it announces the leave before the node stops serving.
    let service: MembershipService

    /// What `GET /v1/cluster/members` answers.
    var members: @Sendable () async throws -> [UInt8] {
        { [service] in try await service.members().json }
    }
}

extension NodeContext {
    /// - Parameters:
    ///   - listen: where other nodes reach it.
    ///   - seeds: where to look for the others if nothing is configured.
    func makeMembership(
        role: NodeRole, generation: Int64, listen: HostAndPort, defaultSeeds seeds: [HostAndPort] = []
    ) throws(OrchestraError) -> NodeMembership {
        let network = try configuration.makeNetwork(
            nodeID: nodeID, generation: generation, role: role, listen: listen, takesGossip: true,
            logger: logger("transport"))
        let configured = configuration.optional(ConfigurationKeys.clusterSeeds)
        let names = configuration.optional(ConfigurationKeys.clusterJoinDNS) ?? []
        let service = MembershipService(
            network: network,
            MembershipConfiguration(
                seeds: configured ?? (names.isEmpty ? seeds : []), names: names, version: orchestraVersion),
            logger: logger("membership"))
        return NodeMembership(network: network, service: service)
    }

    /// - Parameters:
    ///   - membership: `nil` for a node that is no member of a cluster.
    ///   - isReady: whether the node does its work; `GET /health/ready` answers 503 until then.
    ///   - placement: what `GET /v1/cluster/placement` answers; `nil`: not found.
    func makeAdminServer(
        _ membership: NodeMembership?, isReady: @escaping @Sendable () async throws -> Bool,
        placement: (@Sendable () async throws -> [UInt8])? = nil
    ) -> AdminServer {
        var pages: [String: AdminServer.Page] = [:]
        pages["/metrics"] = AdminServer.Page(metricsPage)
        pages["/health/ready"] = AdminServer.Page {
            guard try await isReady() else {
                throw OrchestraError(.unavailable, "this node is not ready", nextStep: "ask again in a moment")
            }
            return Array(#"{"status":"ready"}"#.utf8)
        }
        pages["/v1/cluster/members"] = membership.map { AdminServer.Page(make: $0.members) }
        pages["/v1/cluster/placement"] = placement.map { AdminServer.Page(make: $0) }
        return AdminServer(
            listen: configuration[ConfigurationKeys.adminListen], pages: pages, logger: logger("admin"))
    }
}
