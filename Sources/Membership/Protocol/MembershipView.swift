/// The set of live silos, as one node sees it: what placement is a function of.
///
/// Views of different nodes have no common order. Compare ``digest``: equal digests mean the same silos, generations,
/// weights and addresses. ``version`` counts the views of this node only.
package struct MembershipView: Sendable, Equatable {
    package struct Silo: Sendable, Equatable {
        package let id: NodeID
        package let generation: UInt64
        package let weight: UInt16
        package let address: NodeAddress
    }

    package let version: UInt64
    package let digest: UInt64
    /// Ordered by name.
    package let silos: [Silo]
}

/// Decides when a changed set of silos is published: deaths at once, unless others are about to be declared dead;
/// arrivals after a moment.
struct ViewPublisher: Sendable {
    private(set) var version: UInt64 = 0
    private(set) var publishedDigest: UInt64 = 0
    private var pendingSince: Moment?
    private var hasDeath = false
    private(set) var due: Moment = .distantFuture

    var isPending: Bool { pendingSince != nil }

    mutating func noteDeath() { hasDeath = true }

    /// - Parameter othersAreRipe: whether more silos are about to be declared dead.
    /// - Returns: whether to publish now.
    mutating func update(
        digest: UInt64, now: Moment, settings: MembershipSettings, othersAreRipe: Bool
    ) -> Bool {
        guard digest != publishedDigest else {
            pendingSince = nil
            hasDeath = false
            due = .distantFuture
            return false
        }
        let since = pendingSince ?? now
        pendingSince = since
        if !hasDeath {
            due = since + settings.arrivalSettleTime
        } else if othersAreRipe {
            due = since + settings.settleTime
        } else {
            due = now
        }
        guard due <= now else { return false }
        version += 1
        publishedDigest = digest
        pendingSince = nil
        hasDeath = false
        due = .distantFuture
        return true
    }
}
