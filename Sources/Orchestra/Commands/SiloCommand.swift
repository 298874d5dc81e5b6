import ArgumentParser
import EventLog
import HTTPClient
import OrchestraCore
import Silo
import Transport

/// `orchestra silo`: a node that owns grains.
struct SiloCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "silo",
        abstract: "Run one silo: it owns partitions and runs grains.",
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
        configuration.workflows = application.workflows
        let silo = try Silo(
            configuration, grains: application.grains, codec: context.makeCodec(http: http),
            logger: context.logger("silo"))
        let membership = try context.makeMembership(role: .silo, generation: generation, listen: address)
        let server = CallServer(network: membership.network, handler: silo)
        let admin = context.makeAdminServer(membership)
        return NodeServices(
            // They end in reverse order: the leave is announced first, and the listener closes after the silo has let
            // its partitions go.
            services: [membership.network, silo, server, admin, membership.service],
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
