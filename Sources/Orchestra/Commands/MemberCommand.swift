import ArgumentParser
import MembershipNetwork
import OrchestraCore
import Transport

/// `orchestra member`: a node that is a member and nothing else.
struct MemberCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "member",
        abstract: "Be a member of a cluster and do nothing else, to look into its network.",
        discussion: """
            It needs no Kafka. It joins as a client unless --role says otherwise; as a silo it would be given partitions
            that it does not serve, so use that on clusters of its like alone.

              orchestra member --seed silo-1:7600 --listen-node 0.0.0.0:0 --log-level debug
            """, shouldDisplay: false)

    enum Role: String, ExpressibleByArgument, CaseIterable {
        case silo, agent, gateway

        var nodeRole: NodeRole {
            switch self {
            case .silo: .silo
            case .agent: .agent
            case .gateway: .gateway
            }
        }
    }

    @Option(help: "What to be.")
    var role = Role.agent

    @OptionGroup(title: "Node") var node: NodeOptions
    @OptionGroup(title: "Node") var client: ClientNodeOptions
    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(visibility: .hidden) var supervision: SupervisionOptions

    func run() async throws {
        let role = role.nodeRole
        try await NodeProcess.run(
            role: "member", supervision: supervision, load: { try options.load(node.flags + client.flags) }
        ) { context in
            let membership = try context.makeMembership(
                role: role, generation: try context.nextGeneration(),
                listen: context.configuration[ConfigurationKeys.clusterListen])
            let admin = context.makeAdminServer(
                membership, isReady: { try await membership.service.members().joined })
            return NodeServices(
                services: [membership.network, admin, membership.service],
                ready: {
                    try await membership.service.waitUntilJoined()
                    return ["admin": "http://\(try await admin.address())"]
                })
        }
    }
}
