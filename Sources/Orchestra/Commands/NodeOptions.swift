import ArgumentParser

/// The flags that every node but the broker has.
struct NodeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The node's name, unique in the cluster (node.id).", valueName: "name"))
    var nodeID: String?

    var flags: [ConfigurationFlag?] { [.init(ConfigurationKeys.nodeID, "--node-id", nodeID)] }
}
