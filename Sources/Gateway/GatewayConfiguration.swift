package import EventLog

/// Where a gateway listens and what it allows.
package struct GatewayConfiguration: Sendable {
    /// The address to listen on.
    package var host: String
    /// The TCP port; 0 takes a free one.
    package var port: Int
    /// This node's name; it goes into every start event.
    package var nodeID: String
    /// The cluster's number of partitions; the gateway refuses triggers while the start topic has another one.
    package var partitionCount: Int32
    /// The broker, for the readiness check.
    package var kafka: KafkaConfiguration
    package var limits: GatewayLimits

    /// - Parameters:
    ///   - host: default 127.0.0.1.
    ///   - port: default 8080; 0 takes a free one.
    ///   - nodeID: unique in the cluster.
    ///   - partitionCount: default 16.
    ///   - kafka: the broker.
    ///   - limits: the bounds.
    package init(
        host: String = "127.0.0.1", port: Int = 8080, nodeID: String, partitionCount: Int32 = 16,
        kafka: KafkaConfiguration, limits: GatewayLimits = GatewayLimits()
    ) {
        self.host = host
        self.port = port
        self.nodeID = nodeID
        self.partitionCount = partitionCount
        self.kafka = kafka
        self.limits = limits
    }
}

/// The bounds of a gateway. Sizes are in bytes.
package struct GatewayLimits: Sendable, Hashable {
    /// The largest request body. JSON may take six bytes for one of the input.
    package var maximumBodySize = 8 << 20
    /// The largest input text, as UTF-8.
    package var maximumInputSize = 1 << 20
    /// Triggers in progress; more are refused with 503.
    package var maximumTriggers = 512
    /// Request bodies of the triggers in progress, together; more are refused with 503.
    package var maximumTriggerBytes = 64 << 20
    /// How long a request body may take to arrive.
    package var bodyTimeout = Duration.seconds(30)
    /// A connection on which nothing arrives and nothing is asked is closed after this time.
    package var idleTimeout = Duration.seconds(60)
    /// Connections at once; more wait in the listener's backlog.
    package var maximumConnections = 4096
    /// How long the owner of a workflow may take to answer a question.
    package var callTimeout = Duration.seconds(5)
    /// How long a keyed trigger waits for the owner, before and after the record is written.
    package var keyCheckTimeout = Duration.seconds(2)
    /// Long polls at once; a `wait` beyond is answered at once with what there is.
    package var maximumWaits = 8192
    /// The longest `wait`.
    package var maximumWait = Duration.seconds(60)
    /// A long poll asks the owner again at least this often.
    package var longPollInterval = Duration.seconds(5)
    /// Accepted workflows that are remembered, so that they are "accepted" while their owner is out of reach.
    package var rememberedWorkflows = 10_000
    /// Readiness is lost when the broker has not answered for this long.
    package var brokerSilence = Duration.seconds(15)

    package init() {}
}
