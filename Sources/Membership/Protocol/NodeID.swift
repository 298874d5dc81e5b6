import SeededRandom

/// The name of a node, unique in its cluster, with the 64-bit key that places it on the rings of the ``Expander``
/// and in the buckets of the ``MemberTable``.
///
/// The key is FNV-1a with a final mix, so it is the same in every process: what depends on it can be replayed.
package struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// 1 to 200 bytes of UTF-8.
    package let name: String
    package let key: UInt64

    package init(_ name: String) {
        self.name = name
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        key = mixed(hash)
    }

    package static func == (left: NodeID, right: NodeID) -> Bool { left.key == right.key && left.name == right.name }
    package static func < (left: NodeID, right: NodeID) -> Bool { left.name < right.name }
    package func hash(into hasher: inout Hasher) { hasher.combine(key) }
    package var description: String { name }
}

/// Where a node listens.
package struct NodeAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an IP address, without brackets; 1 to 255 bytes of UTF-8.
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The same in every process.
    var key: UInt64 { NodeID(host).key ^ mixed(UInt64(port)) }
}

/// What a member does. Agents and gateways are clients: listed and probed, outside the view of silos.
package enum MemberRole: UInt8, Sendable, CaseIterable {
    case silo = 1
    case agent = 2
    case gateway = 3
}
