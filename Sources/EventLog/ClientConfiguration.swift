internal import CRdKafka

/// The properties of one librdkafka client: Orchestra's defaults, what the user set over them, and what is fixed
/// because the guarantees of this module rest on it. A value; nothing is created until ``makeNative()``.
struct ClientConfiguration: Sendable {
    enum Role: Sendable { case producer, consumer }

    /// Properties whose value is this module's business: they come from parameters or carry its guarantees.
    static let reserved: [String: String] = [
        "bootstrap.servers": "it is KafkaConfiguration.bootstrapServers",
        "metadata.broker.list": "it is KafkaConfiguration.bootstrapServers",
        "client.id": "it is KafkaConfiguration.clientID",
        "enable.idempotence": "producers are always idempotent",
        "acks": "producers always wait for all replicas",
        "request.required.acks": "producers always wait for all replicas",
        "transactional.id": "it names a partition's owner",
        "transaction.timeout.ms": "it is a parameter of the transactional producer",
        "group.id": "it is a parameter of the consumer",
        "group.instance.id": "it is a parameter of the consumer",
        "session.timeout.ms": "it is a parameter of the consumer",
        "partition.assignment.strategy": "librdkafka 2.0.2 loses assignments with the sticky ones",
        "enable.auto.commit": "offsets are committed with what they caused",
        "auto.commit.enable": "offsets are committed with what they caused",
        "enable.auto.offset.store": "offsets are committed with what they caused",
        "auto.offset.reset": "where to start is always said",
        "isolation.level": "it is a parameter of the consumer",
        "enable.partition.eof": "restoring state waits for the end of a partition",
        "partitioner": "partitions are always explicit",
        "log.queue": "logging is Orchestra's",
        "plugin.library.paths": "it would load code into this process",
    ]

    let role: Role
    let base: KafkaConfiguration
    /// Orchestra's choices that a user may change.
    private(set) var defaults: [String: String]
    /// Orchestra's choices that a user may not change.
    var fixed: [String: String]
    /// The events that are returned by queues instead of callbacks (`RD_KAFKA_EVENT_…`).
    var events: Int32 = 0
    /// Whether the end tells the consumer group; without that it does not wait for a coordinator that is away.
    var leavesGroup = true

    init(_ base: KafkaConfiguration, role: Role, defaults: [String: String], fixed: [String: String]) {
        self.role = role
        self.base = base
        var merged = ClientConfiguration.commonDefaults
        merged.merge(defaults) { _, specific in specific }
        self.defaults = merged
        var fixed = fixed
        fixed["bootstrap.servers"] = base.bootstrapServers
        fixed["client.id"] = base.clientID
        self.fixed = fixed
    }

    private static let commonDefaults = [
        // A request is small and is waited for: never hold it back.
        "socket.nagle.disable": "true",
        "socket.timeout.ms": "10000",
        // A broker that restarts is back within a second or two: do not back off for longer.
        "reconnect.backoff.ms": "50",
        "reconnect.backoff.max.ms": "1000",
        // A new leader or a new topic is noticed soon.
        "topic.metadata.refresh.fast.interval.ms": "100",
        // Texts of 1 MB travel inside records with their own overhead.
        "message.max.bytes": "4194304",
        // An idle connection is closed by brokers now and then; that is not worth a line.
        "log.connection.close": "false",
        "statistics.interval.ms": "10000",
    ]

    /// Defaults that came after librdkafka 2.0.2; older versions do without them.
    private static let newerDefaults: Set = ["fetch.queue.backoff.ms"]

    /// The value in force of a property, if Orchestra or the user sets it.
    func value(of property: String) -> String? {
        fixed[property] ?? base.properties[property] ?? defaults[property]
    }

    /// Makes librdkafka's own object of it; the caller owns it.
    ///
    /// - Throws: ``EventLogError`` with `badConfiguration` that names the property, its value and the reason.
    func makeNative() throws(EventLogError) -> OpaquePointer {
        try validate()
        guard let native = rd_kafka_conf_new() else {
            throw EventLogError(kind: .fatal, name: "_CRIT_SYS_RESOURCE", message: "no memory for a configuration")
        }
        do throws(EventLogError) {
            let known = defaults.filter { name, _ in
                !ClientConfiguration.newerDefaults.contains(name) || ClientConfiguration.isKnown(name, to: native)
            }
            for layer in [known, base.properties, fixed] {
                for (name, value) in layer.sorted(by: { $0.key < $1.key }) {
                    try ClientConfiguration.set(name, to: value, in: native)
                }
            }
        } catch {
            rd_kafka_conf_destroy(native)
            throw error
        }
        if events != 0 { rd_kafka_conf_set_events(native, events) }
        return native
    }

    private func validate() throws(EventLogError) {
        guard base.bootstrapServers.contains(where: { !$0.isWhitespace }) else {
            throw EventLogError(
                kind: .badConfiguration, name: "_INVALID_ARG", message: "bootstrap.servers is empty",
                nextStep: "name at least one broker as host:port")
        }
        for name in base.properties.keys.sorted() {
            guard let reason = ClientConfiguration.reserved[name] else { continue }
            throw EventLogError(
                kind: .badConfiguration, name: "_INVALID_ARG",
                message: "the Kafka property \(name) cannot be set: \(reason)", nextStep: "remove \(name)")
        }
    }

    private static func isKnown(_ name: String, to native: OpaquePointer) -> Bool {
        var size = 0
        return rd_kafka_conf_get(native, name, nil, &size) == RD_KAFKA_CONF_OK
    }

    private static func set(_ name: String, to value: String, in native: OpaquePointer) throws(EventLogError) {
        let (result, words) = withErrorText { text, size in rd_kafka_conf_set(native, name, value, text, size) }
        switch result {
        case RD_KAFKA_CONF_OK: return
        case RD_KAFKA_CONF_UNKNOWN:
            throw EventLogError(
                kind: .badConfiguration, name: "_INVALID_ARG",
                message: "the Kafka property \(name) does not exist: \(words)",
                nextStep: "compare its spelling with librdkafka's CONFIGURATION.md")
        default:
            let shown = name.contains("password") || name.contains("secret") ? "(hidden)" : "\"\(value)\""
            throw EventLogError(
                kind: .badConfiguration, name: "_INVALID_ARG",
                message: "the Kafka property \(name) cannot be \(shown): \(words)",
                nextStep: "correct the value of \(name)")
        }
    }
}

/// Calls a function of librdkafka that describes its failure in a buffer.
///
/// - Returns: what it returned, and the text.
func withErrorText<Outcome>(
    _ body: (UnsafeMutablePointer<CChar>, Int) -> Outcome
) -> (outcome: Outcome, text: String) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
        buffer.initialize(repeating: 0)
        let outcome = body(buffer.baseAddress!, buffer.count)
        return (outcome, String(cString: buffer.baseAddress!))
    }
}
