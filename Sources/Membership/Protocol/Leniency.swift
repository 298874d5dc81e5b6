/// Members that were suspected of late and have turned out to live: they are hard to reach, not gone.
///
/// A member behind a bad link or on a starved machine fails one probe in two. If each failure accused it, it would
/// refute once a second, and every accusation and refutation goes to everybody. So whoever has refuted lately is
/// accused only after as many further failed probes in a row, and what it says meanwhile clears it. It costs its
/// neighbours that much longer, a few seconds, to find out that such a member is dead after all.
struct Leniency: Sendable {
    private struct Past: Sendable {
        var generation: UInt64
        var refutations: Int
        var lastAt: Moment
    }

    private static let maximumCount = 256
    private var pasts: [NodeID: Past] = [:]

    mutating func noteRefutation(of member: NodeID, generation: UInt64, at now: Moment, settings: MembershipSettings) {
        let before = furtherProbes(of: member, generation: generation, at: now, settings: settings)
        if pasts.count >= Self.maximumCount, pasts[member] == nil {
            pasts = pasts.filter { now - $0.value.lastAt < settings.leniencyTime }
            // So many at a time are no few bad links any more.
            if pasts.count >= Self.maximumCount { pasts = [:] }
        }
        pasts[member] = Past(
            generation: generation, refutations: min(before + 1, settings.maximumFurtherProbes), lastAt: now)
    }

    /// - Returns: how many more probes in a row must fail before the member is accused.
    func furtherProbes(of member: NodeID, generation: UInt64, at now: Moment, settings: MembershipSettings) -> Int {
        guard let past = pasts[member], past.generation == generation, now - past.lastAt < settings.leniencyTime else {
            return 0
        }
        return past.refutations
    }
}
