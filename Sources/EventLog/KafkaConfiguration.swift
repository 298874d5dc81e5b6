/// How to reach Kafka.
public struct KafkaConfiguration: Sendable, Hashable {
    /// `host:port`, several of them separated by commas: librdkafka's `bootstrap.servers`.
    public var bootstrapServers: String
    /// Names this process in the broker's logs, quotas and group descriptions.
    public var clientID: String
    /// Further properties of librdkafka, such as `security.protocol` or `sasl.username`. They win over Orchestra's
    /// own defaults. The few on which its guarantees rest are reserved: naming one is an error.
    public var properties: [String: String]

    /// - Parameters:
    ///   - bootstrapServers: `host:port`, several of them separated by commas.
    ///   - clientID: names this process at the broker.
    ///   - properties: further properties of librdkafka; none by default.
    public init(bootstrapServers: String, clientID: String, properties: [String: String] = [:]) {
        self.bootstrapServers = bootstrapServers
        self.clientID = clientID
        self.properties = properties
    }
}
