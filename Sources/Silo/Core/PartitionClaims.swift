package import Records

/// The claims in a partition's changelog, as far as it has been read: who may still be writing to it.
///
/// # How a partition changes hands
///
/// Whoever nominates an owner can be wrong, so two silos may want to serve a partition at the same time, and a
/// silo may wake up after minutes and go on where it stopped. What must never happen is that both commit, the
/// later not knowing what the earlier has written. Kafka decides: a silo commits through a producer with a
/// transactional id of its own, and whoever initialises that id again fences the silo. Every takeover goes like this:
///
/// 1. *Join* the silo's own producer (``TransactionLane``). Its initialisation has fenced the silo's predecessor.
/// 2. *Claim*: commit a record under the reserved key `\0claim/<silo>`, with the silo's transactional id.
/// 3. *Read* the changelog. *Fence* every other silo with a claim, by initialising its transactional id; this also
///    aborts what it left open. Then read on to an end that is looked up *after* the fencing; if that brings new claims
///    of others, repeat.
/// 4. *Check* that the silo's own claim still stands, *delete* the others', and serve.
///
/// A silo that gives a partition back deletes its claim with its last commit: nobody has to fence it.
///
/// Why it is safe: take two silos that claim the same partition. Their claims have an order in the changelog. The later
/// one reads the earlier one (unless a third silo has deleted it, after fencing it), fences that silo, and only then
/// looks up the end to which it restores. So whatever the earlier silo committed before is restored, and it can
/// commit nothing more before it has initialised its producer again; but that begins a new life of its lane, in
/// which it owns nothing until it has taken the partition over anew, by the same four steps. A claim can only be
/// deleted by a silo that has fenced its writer, or by its writer; a deletion that was under way while the writer
/// claimed anew is settled before step 4 looks, since step 3 fences the deleter.
///
/// Compaction does no harm: each silo has a key of its own, so no claim hides another.
package struct PartitionClaims: Sendable {
    private struct Entry: Sendable {
        var claim: PartitionClaim
        var offset: Int64
    }

    private var entries: [String: Entry] = [:]
    /// For each silo that was fenced: its claims up to this offset are void.
    private var fenced: [String: Int64] = [:]

    package init() {}

    /// Takes in a claim record, in the order of the changelog.
    ///
    /// - Parameter claim: `nil` for a claim that was deleted.
    package mutating func take(_ claim: PartitionClaim?, of silo: String, at offset: Int64) {
        entries[silo] = claim.map { Entry(claim: $0, offset: offset) }
    }

    /// The silos that have to be fenced, by name.
    package func rivals(of silo: String) -> [PartitionClaim] {
        entries.filter { $0.key != silo && $0.value.offset > fenced[$0.key, default: -1] }
            .sorted { $0.key < $1.key }.map(\.value.claim)
    }

    /// Takes note that a silo has been fenced: what was read of it by now is void.
    package mutating func didFence(_ silo: String) {
        guard let entry = entries[silo] else { return }
        fenced[silo] = entry.offset
    }

    /// The silos whose claims can be deleted.
    package var fencedSilos: [String] { fenced.keys.sorted() }

    /// The claim of a silo that stands.
    package func claim(of silo: String) -> PartitionClaim? { entries[silo]?.claim }

    /// The last claim of all.
    package var latest: PartitionClaim? { entries.values.max { $0.offset < $1.offset }?.claim }
}
