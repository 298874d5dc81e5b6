package import Membership
package import Transport

/// What a node tells about itself and where it looks for the others.
package struct MembershipConfiguration: Sendable {
    /// Nodes to join through. One's own address among them, under whatever name, makes this node one that may be the
    /// first of its cluster; so does an empty list together with an empty ``names``.
    package var seeds: [HostAndPort]
    /// Names of which each address is a seed, as of a headless service; looked up again with every attempt to join.
    package var names: [HostAndPort]
    /// The share of partitions that a silo should get, relative to others; 0 takes none.
    package var weight: UInt16
    /// Told to people: shown in the list of members.
    package var version: String
    package var settings: MembershipSettings

    /// - Parameters:
    ///   - seeds: default none.
    ///   - names: default none.
    ///   - weight: default 100.
    ///   - version: the program's.
    ///   - settings: the same on every node.
    package init(
        seeds: [HostAndPort] = [], names: [HostAndPort] = [], weight: UInt16 = 100, version: String = "",
        settings: MembershipSettings = MembershipSettings()
    ) {
        self.seeds = seeds
        self.names = names
        self.weight = weight
        self.version = version
        self.settings = settings
    }
}
