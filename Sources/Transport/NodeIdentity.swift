/// What a node is in the cluster. Agents and gateways are clients: they call, they own nothing.
package enum NodeRole: UInt8, Sendable, Hashable, CustomStringConvertible {
    case silo = 1
    case agent = 2
    case gateway = 3

    package var description: String {
        switch self {
        case .silo: "silo"
        case .agent: "agent"
        case .gateway: "gateway"
        }
    }
}

/// Who a node says it is when it opens or accepts a connection.
package struct NodeIdentity: Sendable, Hashable, CustomStringConvertible {
    /// Nodes of different clusters refuse each other. 1 to 100 bytes of UTF-8.
    package var clusterName: String
    /// Unique in the cluster. 1 to 200 bytes of UTF-8.
    package var nodeID: String
    /// The start time in milliseconds that tells a restarted node from its predecessor.
    package var generation: Int64
    package var role: NodeRole

    package init(clusterName: String = "orchestra", nodeID: String, generation: Int64 = 0, role: NodeRole) {
        self.clusterName = clusterName
        self.nodeID = nodeID
        self.generation = generation
        self.role = role
    }

    package var description: String { "\(role) \(nodeID)" }
}

/// Where a node listens.
package struct HostAndPort: Sendable, Hashable, CustomStringConvertible {
    /// A name or an IP address, without brackets.
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
