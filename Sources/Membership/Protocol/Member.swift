/// What the subject alone says about itself. Immutable, and shared by tables, queues and snapshots.
package final class MemberDescription: Sendable, Equatable {
    package let role: MemberRole
    package let address: NodeAddress
    /// The oldest and newest version of the wire protocol that the node speaks.
    package let protocolVersions: ClosedRange<UInt8>
    /// The share of partitions that a silo should get, relative to others. Default 100; 0 takes none.
    package let weight: UInt16
    /// How busy the node is, 0 (idle) to 255. A hint: spread seldom, see ``MembershipSettings/describeInterval``, and
    /// only if it has changed by enough, see ``MembershipSettings/loadStep``.
    package let load: UInt8
    /// Free text for people and placement, sorted by name; at most 16, names and values at most 255 bytes of UTF-8.
    package let labels: [Label]

    package struct Label: Sendable, Hashable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(
        role: MemberRole, address: NodeAddress, protocolVersions: ClosedRange<UInt8> = 1...1, weight: UInt16 = 100,
        load: UInt8 = 0, labels: [Label] = []
    ) {
        self.role = role
        self.address = address
        self.protocolVersions = protocolVersions
        self.weight = weight
        self.load = load
        self.labels = labels.sorted { ($0.name, $0.value) < ($1.name, $1.value) }
    }

    package static func == (left: MemberDescription, right: MemberDescription) -> Bool {
        left === right
            || (left.role == right.role && left.address == right.address && left.weight == right.weight
                && left.protocolVersions == right.protocolVersions && left.load == right.load
                && left.labels == right.labels)
    }
}

/// What a node believes about one generation of a member.
///
/// Legal exits, within one generation (a higher generation replaces the record whatever its status):
///
/// - `alive` → `suspect` (an accusation of its incarnation), `dead` (a verdict), `left` (its own announcement)
/// - `suspect` → `alive` (only by a higher incarnation, which only the subject gives itself), `dead`, `left`
/// - `dead` → `left`; otherwise none until its tombstone expires
/// - `left` → none until its tombstone expires
package enum MemberStatus: UInt8, Sendable, CaseIterable {
    case alive = 0
    case suspect = 1
    case dead = 2
    case left = 3

    /// Alive or suspect: part of the view, probed, gossiped with.
    package var isLive: Bool { self == .alive || self == .suspect }
}

/// The unit of knowledge about a member: what is merged, gossiped and synchronised.
///
/// Records of one member are totally ordered by ``Precedence``, and merging keeps the greater one. So merging is
/// commutative, associative and idempotent, and what a node believes never goes back.
package struct MemberRecord: Sendable, Equatable {
    package let id: NodeID
    /// The start time (milliseconds since 1970) that tells a restarted node from its predecessor.
    package var generation: UInt64
    /// The counter by which the subject refutes a suspicion or changes its description. Nobody else raises it.
    package var incarnation: UInt32
    package var status: MemberStatus
    /// Present in every alive record; may be absent in news of suspicion and death.
    package var description: MemberDescription?

    package init(
        id: NodeID, generation: UInt64, incarnation: UInt32, status: MemberStatus, description: MemberDescription?
    ) {
        self.id = id
        self.generation = generation
        self.incarnation = incarnation
        self.status = status
        self.description = description
    }

    package var precedence: Precedence {
        Precedence(generation: generation, incarnation: incarnation, status: status)
    }
}

/// The order of records of one member: generation, then whether that generation has ended, then incarnation, then
/// status.
///
/// Unlike in SWIM, a higher incarnation does not undo a death: the generation has ended, and a node that finds itself
/// declared dead takes the next generation. So whoever gave the member's work to others never sees it come back as if
/// nothing had happened.
package struct Precedence: Sendable, Hashable, Comparable {
    package let generation: UInt64
    package let incarnation: UInt32
    package let status: MemberStatus

    package init(generation: UInt64, incarnation: UInt32, status: MemberStatus) {
        self.generation = generation
        self.incarnation = incarnation
        self.status = status
    }

    package static func < (left: Precedence, right: Precedence) -> Bool {
        if left.generation != right.generation { return left.generation < right.generation }
        if left.status.isLive != right.status.isLive { return left.status.isLive }
        if !left.status.isLive { return left.status.rawValue < right.status.rawValue }
        if left.incarnation != right.incarnation { return left.incarnation < right.incarnation }
        return left.status.rawValue < right.status.rawValue
    }
}
