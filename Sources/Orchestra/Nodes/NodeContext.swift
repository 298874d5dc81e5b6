import Avro
import EventLog
import Foundation
import Gateway
import HTTPClient
import Logging
import OrchestraCore
import Transport

/// What every node has: a name, its configuration, and the connections that follow from it.
struct NodeContext: Sendable {
    let configuration: ResolvedConfiguration
    let role: String
    let nodeID: String
    let directory: DataDirectory
    let logger: Logger

    init(role: String, configuration: ResolvedConfiguration, logger: Logger) {
        self.role = role
        self.configuration = configuration
        self.logger = logger
        directory = DataDirectory(path: configuration[ConfigurationKeys.dataDirectory])
        nodeID =
            configuration.optional(ConfigurationKeys.nodeID) ?? (role == "broker" ? role : "\(role)-\(Self.hostName)")
    }

    /// The host's name as far as a node id can hold it.
    private static var hostName: String {
        let name = ProcessInfo.processInfo.hostName.prefix { $0 != "." }
        let allowed = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }
        return allowed.isEmpty ? "1" : String(allowed.prefix(40))
    }

    func nextGeneration() throws(OrchestraError) -> Int64 {
        try NodeGeneration.next(of: nodeID, in: directory, now: NodeGeneration.wallClock())
    }

    var kafka: KafkaConfiguration {
        KafkaConfiguration(
            bootstrapServers: configuration.optional(ConfigurationKeys.kafkaBootstrapServers)
                ?? DefaultAddress.kafka,
            clientID: nodeID, properties: configuration.kafkaProperties)
    }

    func makeCodec(http: HTTPClient) -> RecordCodec {
        RecordCodec(registry: SchemaRegistryClient(configuration, http: http))
    }

    /// What the node answers at `/metrics`.
    var metricsPage: MetricsPage {
        MetricsPage(contentType: PrometheusRegistry.contentType) { [nodeID, role] in
            NodeMetrics.text(node: nodeID, role: role)
        }
    }

    func logger(_ label: String) -> Logger { Logger(label: label) }
}

/// Where a single node looks for what nobody configured: where `orchestra broker` listens by default.
enum DefaultAddress {
    static let kafka = "127.0.0.1:9092"
    static let registry = "http://127.0.0.1:8081"
    static let silo = HostAndPort(host: "127.0.0.1", port: 7600)
}

extension SchemaRegistryClient {
    convenience init(_ configuration: ResolvedConfiguration, http: HTTPClient, url: String? = nil) {
        self.init(
            url: url ?? configuration.optional(ConfigurationKeys.registryURL) ?? DefaultAddress.registry,
            username: configuration.optional(ConfigurationKeys.registryUsername),
            password: configuration.optional(ConfigurationKeys.registryPassword), http: http)
    }
}
