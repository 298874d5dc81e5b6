/// How a ``LocalBroker`` runs.
package struct LocalBrokerConfiguration: Sendable {
    /// What one client, and all together, may take. Beyond a limit a client waits or is disconnected.
    package struct Limits: Sendable {
        /// The largest request frame, in bytes (Kafka: `socket.request.max.bytes`).
        package var maximumRequestBytes = 32 << 20
        /// The largest answer to a fetch, in bytes, unless a single batch is larger (Kafka: `fetch.max.bytes`).
        package var maximumFetchBytes = 4 << 20
        package var maximumConnections = 10_000
        /// Requests of one connection that may wait for their answers.
        package var maximumRequestsInFlight = 64
        /// A connection without traffic for this long is closed (Kafka: `connections.max.idle.ms`).
        package var idleTimeout: Duration = .seconds(600)
        /// Bytes of batches that may wait for the disk; beyond, the broker stops reading.
        package var maximumUncommittedBytes = 64 << 20
        /// Bytes of requests that are not whole yet, of all connections together; beyond, the connection with most of
        /// them is closed.
        package var maximumInboundBytes = 256 << 20
        /// Bytes of answers that clients have not read yet. Beyond, fetches get small answers; beyond twice as much, the
        /// connection with most of them is closed.
        package var maximumOutboundBytes = 128 << 20
        /// Bytes of newest batches kept in memory for consumers that keep up.
        package var maximumTailBytes = 8 << 20
        package var maximumPartitionsPerTopic: Int32 = 10_000
        package var maximumPartitions = 100_000
        /// Producer ids that partitions remember, to recognise what is sent twice: each partition counts for itself.
        /// Beyond, those that were silent longest are forgotten; checked by maintenance.
        package var maximumProducers = 200_000

        package init() {}
    }

    /// Where the database lies; made if it does not exist.
    package var dataDirectory: String
    package var host: String
    /// 0: any free port.
    package var port: Int
    /// What clients are told to connect to; nil: the address that is bound.
    package var advertisedHost: String?
    package var advertisedPort: Int?
    /// Whether each commit waits for the disk itself. Without it acknowledged data survives the end of the process,
    /// however violent, but not a power failure.
    package var syncsToDisk = false
    /// Whether asking for an unknown topic makes it (Kafka: `auto.create.topics.enable`).
    package var autoCreatesTopics = false
    /// Partitions of topics made without a count (Kafka: `num.partitions`).
    package var defaultPartitionCount: Int32 = 1
    /// How often old data is looked for.
    package var maintenanceInterval: Duration = .seconds(15)
    package var limits = Limits()

    package init(dataDirectory: String, host: String = "127.0.0.1", port: Int = 0) {
        self.dataDirectory = dataDirectory
        self.host = host
        self.port = port
    }
}
