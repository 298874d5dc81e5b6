import ArgumentParser
import LocalBroker
import LocalRegistry
import OrchestraCore
import ServiceLifecycle
import Transport

/// `orchestra broker`: the local stand-in for Kafka and its schema registry.
struct BrokerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broker",
        abstract: "Run the local broker and schema registry: durable, one node, for development.",
        discussion: """
            It speaks Kafka's protocol, so kcat and any Kafka client can connect. For production use Apache Kafka and a real
            schema registry.

              orchestra broker --data-dir .orchestra --listen 127.0.0.1:9092
              kcat -b 127.0.0.1:9092 -L

            What it has acknowledged survives the end of the process, however violent; with --fsync also a power failure.
            """,
        subcommands: [BrokerCheckCommand.self])

    @Option(help: ArgumentHelp("Where to speak Kafka's protocol (broker.listen).", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("Where the schema registry answers (registry.listen).", valueName: "host:port"))
    var registryListen: String?

    @Option(help: ArgumentHelp("Where to answer GET /metrics (admin.listen).", valueName: "host:port"))
    var adminListen: String?

    @Flag(help: "Flush each commit to the disk before it is acknowledged (broker.fsync).")
    var fsync = false

    @Flag(name: .customLong("no-kafka"), help: "Run the registry alone, beside a Kafka of your own.")
    var withoutKafka = false

    @Flag(name: .customLong("no-registry"), help: "Run the broker alone.")
    var withoutRegistry = false

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(visibility: .hidden) var supervision: SupervisionOptions

    mutating func validate() throws {
        guard !withoutKafka || !withoutRegistry else {
            throw ValidationError("--no-kafka and --no-registry leave nothing to run")
        }
    }

    func run() async throws {
        let flags: [ConfigurationFlag?] = [
            .init(ConfigurationKeys.brokerListen, "--listen", listen),
            .init(ConfigurationKeys.brokerFsync, "--fsync", fsync ? "on" : nil),
            .init(ConfigurationKeys.registryListen, "--registry-listen", registryListen),
            .init(ConfigurationKeys.adminListen, "--admin-listen", adminListen),
        ]
        try await NodeProcess.run(
            role: "broker", supervision: supervision, load: { try options.load(flags) }, build: build)
    }

    private func build(_ context: NodeContext) async throws -> NodeServices {
        let address = context.configuration[ConfigurationKeys.brokerListen]
        try context.directory.make(context.directory.brokerDirectory)
        var configuration = LocalBrokerConfiguration(
            dataDirectory: context.directory.brokerDirectory, host: address.host, port: address.port)
        configuration.syncsToDisk = context.configuration[ConfigurationKeys.brokerFsync] == "on"
        let broker = try LocalBroker(configuration, logger: context.logger("broker"))
        var services: [any Service] = withoutKafka ? [] : [broker]
        var registry: LocalRegistry?
        let registryAddress = context.configuration[ConfigurationKeys.registryListen]
        if !withoutRegistry {
            // The registry keeps its schemas in the broker's database, also where the broker itself does not run.
            let local = try LocalRegistry(
                database: broker.database, host: registryAddress.host, port: registryAddress.port,
                logger: context.logger("registry"))
            services.append(local)
            registry = local
        }
        let admin = context.makeAdminServer(nil, isReady: { true })
        services.append(admin)
        return NodeServices(
            services: services,
            ready: { [registry, withoutKafka] in
                var addresses = ["admin": "http://\(try await admin.address())"]
                if !withoutKafka {
                    addresses["kafka"] = "\(HostAndPort(host: address.host, port: try await broker.boundPort()))"
                }
                if let registry {
                    let port = try await registry.boundPort()
                    addresses["registry"] = "http://\(HostAndPort(host: registryAddress.host, port: port))"
                }
                return addresses
            })
    }
}
