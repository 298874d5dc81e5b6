import ArgumentParser
import EventLog
import Gateway
import HTTPClient
import OrchestraCore
import Transport

/// `orchestra gateway`: the HTTP entrance.
struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Run one gateway: it takes triggers and questions over HTTP.",
        discussion: """
              orchestra gateway --listen 0.0.0.0:8080 --seed silo-1:7600 --listen-node 0.0.0.0:0 \\
                --kafka kafka:9092 --registry http://registry:8081
            """)

    @Option(help: ArgumentHelp("Where to answer HTTP (gateway.listen).", valueName: "host:port"))
    var listen: String?

    @Option(
        help: ArgumentHelp(
            "Silos to join through, separated by commas; --seed does the same (gateway.silos).",
            valueName: "host:port,…"))
    var silos: String?

    @OptionGroup(title: "Node") var node: NodeOptions
    @OptionGroup(title: "Node") var client: ClientNodeOptions
    @OptionGroup(title: "Connections") var connections: ConnectionOptions
    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(visibility: .hidden) var supervision: SupervisionOptions

    func run() async throws {
        let flags =
            connections.flags + node.flags + client.flags + [
                .init(ConfigurationKeys.gatewayListen, "--listen", listen),
                .init(ConfigurationKeys.gatewaySilos, "--silos", silos),
            ]
        try await NodeProcess.run(
            role: "gateway", supervision: supervision, load: { try options.load(flags) }, build: Self.build)
    }
}

extension GatewayCommand {
    private static func build(_ context: NodeContext) async throws -> NodeServices {
        let address = context.configuration[ConfigurationKeys.gatewayListen]
        let generation = try context.nextGeneration()
        let http = HTTPClient()
        let producer = try Producer(context.kafka, logger: context.logger("producer"))
        let membership = try context.makeMembership(
            role: .gateway, generation: generation, listen: context.configuration[ConfigurationKeys.clusterListen],
            defaultSeeds: context.configuration[ConfigurationKeys.gatewaySilos])
        let partitionCount = Int32(context.configuration[ConfigurationKeys.siloPartitions])
        let silos = try ClusterSilos(
            nodeID: context.nodeID, membership: membership.service,
            configured: context.configuration.configuredSilos, partitionCount: partitionCount)
        let calls = CallClient(network: membership.network, peers: silos.addresses, routing: { _ in nil })
        silos.use(calls)
        let gateway = Gateway(
            GatewayConfiguration(
                host: address.host, port: address.port, nodeID: context.nodeID,
                partitionCount: partitionCount, kafka: context.kafka),
            producer: producer, codec: context.makeCodec(http: http), calls: silos,
            workflows: ApplicationDefinition.current.workflows, siloObstacle: { silos.obstacle },
            members: membership.members,
            placement: { try await silos.placement().json }, metricsPage: context.metricsPage,
            logger: context.logger("gateway"))
        return NodeServices(
            services: [membership.network, calls, gateway, silos, membership.service],
            ready: {
                let port = try await gateway.boundPort()
                while !gateway.isReady { try await Task.sleep(for: .milliseconds(20)) }
                return ["gateway": "http://\(HostAndPort(host: address.host, port: port))"]
            },
            close: {
                await producer.close(timeout: .seconds(5))
                await http.close()
            })
    }
}

extension ResolvedConfiguration {
    /// The silos that somebody named for a gateway; none if that was left to the seeds.
    fileprivate var configuredSilos: [HostAndPort] {
        let isLeftToSeeds =
            optional(ConfigurationKeys.clusterSeeds) != nil || optional(ConfigurationKeys.clusterJoinDNS) != nil
        let isDefault = source(of: ConfigurationKeys.gatewaySilos) == "default"
        return isLeftToSeeds && isDefault ? [] : self[ConfigurationKeys.gatewaySilos]
    }
}
