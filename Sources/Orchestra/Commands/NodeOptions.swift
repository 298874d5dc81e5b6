import ArgumentParser

/// The flags that every node but the broker has.
struct NodeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The node's name, unique in the cluster (node.id).", valueName: "name"))
    var nodeID: String?

    @Option(
        name: .customLong("seed"), parsing: .singleValue,
        help: ArgumentHelp(
            "A node through which to find the others; may be repeated (cluster.seeds).", valueName: "host:port"))
    var seeds: [String] = []

    @Option(
        help: ArgumentHelp("A name whose every address is such a node (cluster.join.dns).", valueName: "host:port"))
    var joinDNS: String?

    @Option(
        help: ArgumentHelp(
            "Where to answer GET /metrics and GET /v1/cluster/members (admin.listen).", valueName: "host:port"))
    var adminListen: String?

    var flags: [ConfigurationFlag?] {
        [
            .init(ConfigurationKeys.nodeID, "--node-id", nodeID),
            .init(ConfigurationKeys.clusterSeeds, "--seed", seeds.isEmpty ? nil : seeds.joined(separator: ",")),
            .init(ConfigurationKeys.clusterJoinDNS, "--join-dns", joinDNS),
            .init(ConfigurationKeys.adminListen, "--admin-listen", adminListen),
        ]
    }
}

/// Where a node that is no silo is reached by the others.
struct ClientNodeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where other nodes reach this one, to look whether it is alive (cluster.listen).", valueName: "host:port"))
    var listenNode: String?

    var flags: [ConfigurationFlag?] { [.init(ConfigurationKeys.clusterListen, "--listen-node", listenNode)] }
}
