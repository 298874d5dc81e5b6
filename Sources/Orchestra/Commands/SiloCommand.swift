import ArgumentParser
import EventLog
import HTTPClient
import MembershipNetwork
import OrchestraCore
import Silo
import Transport

/// `orchestra silo`: a node that owns grains.
struct SiloCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "silo",
        abstract: "Run one silo: it owns a share of the partitions and runs their grains.",
        discussion: """
              orchestra silo --kafka kafka:9092 --registry http://registry:8081 --listen 0.0.0.0:7600
              orchestra silo --kafka kafka:9092 --registry http://registry:8081 --listen 0.0.0.0:7600 \\
                --seed silo-1:7600 --seed silo-2:7600
            """)

    @Option(help: ArgumentHelp("Where to take calls of other nodes (silo.listen).", valueName: "host:port"))
    var listen: String?

    @OptionGroup(title: "Node") var node: NodeOptions
    @OptionGroup(title: "Connections") var connections: ConnectionOptions
    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(visibility: .hidden) var supervision: SupervisionOptions

    func run() async throws {
        let flags = connections.flags + node.flags + [.init(ConfigurationKeys.siloListen, "--listen", listen)]
        try await NodeProcess.run(
            role: "silo", supervision: supervision, load: { try options.load(flags) }, build: Self.build)
    }

    private static func build(_ context: NodeContext) async throws -> NodeServices {
        let address = context.configuration[ConfigurationKeys.siloListen]
        let generation = try context.nextGeneration()
        let application = ApplicationDefinition.current
        let http = HTTPClient()
        var configuration = SiloConfiguration(
            nodeID: context.nodeID, generation: generation, kafka: context.kafka)
        configuration.partitionCount = Int32(context.configuration[ConfigurationKeys.siloPartitions])
        configuration.replicationFactor = Int16(context.configuration[ConfigurationKeys.topicReplication])
        configuration.workflowRetention = context.configuration[ConfigurationKeys.workflowRetention]
        configuration.limits.maximumSiloStateBytes = context.configuration[ConfigurationKeys.siloStateBytes]
        configuration.restoreRate = context.configuration[ConfigurationKeys.siloRestoreRate]
        configuration.standbys = context.configuration[ConfigurationKeys.siloStandbys]
        configuration.limits.idleTime = context.configuration[ConfigurationKeys.siloIdleTime]
        configuration.workflows = application.workflows
        let membership = try context.makeMembership(role: .silo, generation: generation, listen: address)
        let silos = try ClusterSilos(
            nodeID: context.nodeID, membership: membership.service, partitionCount: configuration.partitionCount)
        let silo = try Silo(
            configuration, grains: application.grains, codec: context.makeCodec(http: http), network: silos,
            leaving: {
                // If this node has not joined yet, nobody has to know.
                try? await membership.service.setWeight(0)
            },
            logger: context.logger("silo"))
        silos.onView { silo.follow($0) }
        let calls = CallClient(network: membership.network, routing: { _ in nil })
        silos.use(calls)
        let server = CallServer(network: membership.network, handler: silo)
        let admin = context.makeAdminServer(
            membership, isReady: { silo.isReady },
            placement: { try await silos.placement(own: silo.partitionReports).json })
        return NodeServices(
            // They end in reverse order: first the silo gives its partitions away, while it still hears of the others,
            // calls them and answers them; then it leaves, and the listener closes last.
            services: [membership.network, calls, server, admin, silos, membership.service, silo],
            ready: {
                let port = try await server.boundPort()
                await silo.waitUntilReady()
                return [
                    "calls": "\(HostAndPort(host: address.host, port: port))",
                    "admin": "http://\(try await admin.address())",
                ]
            },
            close: { await http.close() })
    }
}
