import Transport

private let nodes = ["up", "broker", "silo", "agent", "gateway"]
private let kafkaUsers = ["up", "silo", "agent", "gateway"]
private let members = ["silo", "agent", "gateway", "member"]
private let networkUsers = ["up", "silo", "agent", "gateway", "member", "call"]
private let registryUsers = ["up", "silo", "agent", "gateway", "schemas"]

@Sendable private func isNodeID(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
        && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
}

/// The table of everything that can be configured. Flags, environment variables, `orchestra.json`, their validation
/// and `orchestra config` are all made from it.
///
/// Each stored property is a key. They are read as if they were static: `ConfigurationKeys.siloPartitions`.
@dynamicMemberLookup
struct ConfigurationKeys: Sendable {

    // MARK: Where things are

    let dataDirectory = ConfigurationKey<String>.text(
        "data.dir", default: ".orchestra", allowed: "a directory; made if it does not exist",
        usedBy: nodes + ["run", "call", "schemas"],
        help: "Where a node keeps what must survive it: the local broker's database, logs, node generations.")
    let nodeID = ConfigurationKey<String>.text(
        "node.id", allowed: "1 to 64 of the characters A-Z a-z 0-9 . _ -", usedBy: members,
        help: "The name of this node, unique in the cluster. Without it: the role and the host's name; under "
            + "`up` the role and a number.",
        isValid: isNodeID)

    // MARK: Kafka and the registry

    let kafkaBootstrapServers = ConfigurationKey<String>.text(
        "kafka.bootstrap.servers", allowed: "host:port, or several separated by commas", usedBy: kafkaUsers,
        help: "The Kafka cluster. Without it `up` starts a local broker, and a single node expects one at "
            + "127.0.0.1:9092.",
        isValid: { text in
            text.split(separator: ",", omittingEmptySubsequences: false)
                .allSatisfy { (HostAndPort(String($0))?.port ?? 0) > 0 }
        })
    let topicReplication = ConfigurationKey<Int>.integer(
        "kafka.topic.replication", in: -1...7, default: -1, usedBy: ["up", "silo"],
        help: "The replication factor of topics that a silo creates; -1 takes the broker's default.")
    let registryURL = ConfigurationKey<String>.url(
        "registry.url", usedBy: registryUsers,
        help: "The Confluent-compatible schema registry. Without it `up` starts a local one, and a single node "
            + "expects one at http://127.0.0.1:8081.")
    let registryUsername = ConfigurationKey<String>.text(
        "registry.username", usedBy: registryUsers, help: "The user for basic authentication at the registry.")
    let registryPassword = ConfigurationKey<String>.text(
        "registry.password", isSecret: true, usedBy: registryUsers,
        help: "The password for basic authentication at the registry.")
    let brokerListen = ConfigurationKey<HostAndPort>.address(
        "broker.listen", default: "127.0.0.1:9092", usedBy: ["up", "broker"],
        help: "Where the local broker speaks Kafka's protocol.")
    let brokerFsync = ConfigurationKey<String>.choice(
        "broker.fsync", of: ["off", "on"], default: "off", usedBy: ["up", "broker"],
        help:
            "on: the local broker flushes each commit to the disk before it acknowledges, so that it survives a power "
            + "failure, and takes longer. off: what is acknowledged survives the end of the process, however violent.")
    let registryListen = ConfigurationKey<HostAndPort>.address(
        "registry.listen", default: "127.0.0.1:8081", usedBy: ["up", "broker"],
        help: "Where the local schema registry answers.")

    // MARK: Between nodes

    let clusterName = ConfigurationKey<String>.text(
        "cluster.name", default: "orchestra", allowed: "1 to 100 bytes of text", usedBy: networkUsers,
        help: "The cluster that this node belongs to. Nodes of different clusters refuse each other.",
        isValid: { (1...100).contains($0.utf8.count) })
    let clusterSecret = ConfigurationKey<String>.text(
        "cluster.secret", allowed: "at least \(ClusterSecret.minimumLength) bytes of text, the same on every node",
        isSecret: true, usedBy: networkUsers,
        help: "What nodes prove to each other that they know, without saying it. Without it whoever reaches a node's "
            + "port is let in. Better set as ORCHESTRA_CLUSTER_SECRET than as a flag.",
        isValid: { ClusterSecret($0) != nil })
    let clusterAdvertise = ConfigurationKey<HostAndPort>.optionalAddress(
        "cluster.advertise", usedBy: members,
        help:
            "Where other nodes reach this one, if not where it listens: behind a port mapping. A node that listens on "
            + "0.0.0.0 tells the others the address of its first network interface without it.")
    let clusterSeeds = ConfigurationKey<[HostAndPort]>.optionalAddresses(
        "cluster.seeds", usedBy: members,
        help: "Nodes through which this one finds the others; any that is up will do. A silo without seeds, or that "
            + "finds itself among them and nobody else, is the first of its cluster. Without it an agent tries "
            + "127.0.0.1:7600 and a gateway its gateway.silos.")
    let clusterJoinDNS = ConfigurationKey<[HostAndPort]>.optionalAddresses(
        "cluster.join.dns", usedBy: members,
        help: "A name whose every address is a seed, as that of a headless service, with the nodes' common port. It "
            + "is looked up again with each attempt to join. It must list nodes before they are ready.")
    let clusterListen = ConfigurationKey<HostAndPort>.address(
        "cluster.listen", default: "127.0.0.1:0", usedBy: ["agent", "gateway", "member"],
        help: "Where an agent or a gateway is reached by other nodes, which look whether it is alive; on several "
            + "machines 0.0.0.0:0 or a certain port. Silos use silo.listen.")
    let adminListen = ConfigurationKey<HostAndPort>.address(
        "admin.listen", default: "127.0.0.1:0", usedBy: ["silo", "agent", "member", "broker"],
        help:
            "Where a node that is no gateway answers GET /metrics, /v1/cluster/members, /health/live and /health/ready."
    )
    let clusterTLSCertificate = ConfigurationKey<String>.text(
        "cluster.tls.certificate", allowed: "a PEM file", usedBy: networkUsers,
        help: "This node's certificate, for TLS between nodes; needs cluster.tls.key and cluster.tls.trust too.")
    let clusterTLSKey = ConfigurationKey<String>.text(
        "cluster.tls.key", allowed: "a PEM file", usedBy: networkUsers, help: "The private key of that certificate.")
    let clusterTLSTrust = ConfigurationKey<String>.text(
        "cluster.tls.trust", allowed: "a PEM file", usedBy: networkUsers,
        help: "The certificates that sign those of this cluster's nodes. Both sides must show one.")

    // MARK: Roles

    let siloListen = ConfigurationKey<HostAndPort>.address(
        "silo.listen", default: "127.0.0.1:7600", usedBy: ["up", "silo"],
        help: "Where a silo takes calls from other nodes.")
    let siloPartitions = ConfigurationKey<Int>.integer(
        "silo.partitions", in: 1...1024, default: 16, usedBy: ["up", "silo", "gateway"],
        help: "How many partitions the cluster's topics have. Fixed once they exist: a silo that finds another "
            + "count stops with an error.")
    let siloStateBytes = ConfigurationKey<Int>.integer(
        "silo.state.limit.bytes", in: (1 << 20)...(1 << 40), default: 2 << 30, usedBy: ["up", "silo"],
        help: "How much state of grains a silo holds; beyond it takes no more work until there is room.")
    let siloRestoreRate = ConfigurationKey<Int>.integer(
        "silo.restore.rate.bytes", in: 0...(1 << 40), default: 128 << 20, usedBy: ["up", "silo"],
        help: "How many bytes of changelogs a silo reads a second when it takes partitions over or begins to follow "
            + "them; 0: as fast as it can.")
    let siloStandbys = ConfigurationKey<Int>.integer(
        "silo.standbys", in: 0...7, default: 1, usedBy: ["up", "silo"],
        help: "How many other silos follow each partition's changelog, so that they take it over at once. The same for "
            + "all silos; with 0 whoever takes a partition over reads it from the beginning.")
    let siloIdleTime = ConfigurationKey<Duration>.duration(
        "silo.idle.time", in: .seconds(1)...(.seconds(366 * 86_400)), default: "15m", usedBy: ["up", "silo"],
        help: "How long a grain that nobody calls stays at hand: a durable one decoded, a volatile one at all.")
    let workflowRetention = ConfigurationKey<Duration>.duration(
        "silo.workflow.retention", in: .seconds(1)...(.seconds(366 * 86_400)), default: "7d", usedBy: ["up", "silo"],
        help: "How long a finished workflow can still be asked about.")
    let gatewayListen = ConfigurationKey<HostAndPort>.address(
        "gateway.listen", default: "127.0.0.1:8080", usedBy: ["up", "gateway"],
        help: "Where a gateway answers HTTP.")
    let gatewaySilos = ConfigurationKey<[HostAndPort]>.addresses(
        "gateway.silos", default: "127.0.0.1:7600", usedBy: ["gateway"],
        help: "Silos to join through, and to ask about workflows until the gateway has joined. Not needed with "
            + "cluster.seeds or cluster.join.dns.")
    let agentConcurrency = ConfigurationKey<Int>.integer(
        "agent.concurrency", in: 1...1024, default: 8, usedBy: ["up", "agent"],
        help: "How many tasks one worker runs at the same time.")
    let agentModel = ConfigurationKey<String>.text(
        "agent.model", allowed: "a model of the chat-completion server, or local", usedBy: ["up", "agent"],
        help: "The model that prompts go to. Without it OPENAI_MODEL, else the server's usual one; the built-in "
            + "model \"local\" if neither OPENAI_API_KEY nor OPENAI_BASE_URL is set.")
    let agentPrompts = ConfigurationKey<String>.text(
        "agent.prompts", allowed: "a directory", usedBy: ["up", "agent"],
        help: "A folder of prompt functions, Plugin/Function/skprompt.txt, that adds to the built-in ones.")

    // MARK: Logs

    let logLevel = ConfigurationKey<String>.choice(
        "log.level", of: ["trace", "debug", "info", "notice", "warning", "error", "critical"], default: "info",
        usedBy: nodes, help: "The least severe log lines that are written.")
    let logFormat = ConfigurationKey<String>.choice(
        "log.format", of: ["human", "json"], default: "human", usedBy: nodes,
        help: "How log lines look: for people, or one JSON object a line.")

    /// Keys with this prefix are handed to librdkafka: `kafka.properties.security.protocol`.
    static let kafkaPropertyPrefix = "kafka.properties."

    /// Every key with a fixed name, in the order in which `orchestra config` prints them.
    static let all = Mirror(reflecting: table).children.compactMap { $0.value as? any DescribedKey }.map(\.description)

    private static let table = ConfigurationKeys()

    static subscript<Value>(dynamicMember key: KeyPath<ConfigurationKeys, ConfigurationKey<Value>>)
        -> ConfigurationKey<Value>
    { table[keyPath: key] }

    /// Whether a key is named like one with a secret value. Those of ours are marked themselves.
    static func seemsSecret(_ name: String) -> Bool {
        let words = ["password", "secret", "token", "jaas", "ssl.key.pem", "ssl_key_pem", "api.key", "api_key"]
        return words.contains { name.lowercased().contains($0) }
    }

    /// The description of a librdkafka property. Its values are librdkafka's to judge.
    static func kafkaProperty(_ name: String) -> ConfigurationKeyDescription {
        ConfigurationKeyDescription(
            name: name, fileType: .text, defaultText: nil, allowed: "what librdkafka's CONFIGURATION.md says",
            isSecret: seemsSecret(name), help: "A property of librdkafka.",
            usedBy: kafkaUsers, isAllowed: { _ in true })
    }
}
