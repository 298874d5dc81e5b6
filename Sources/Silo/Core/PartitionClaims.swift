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
/// 1. *Clear*: read the changelog. Every other silo with a claim is asked to release the partition, or, if it is gone,
///    *fenced* by initialising its transactional id; this also aborts what it left open (``Succession``).
/// 2. *Join* the silo's own producer (``TransactionLane``). Its initialisation has fenced the silo's predecessor.
/// 3. *Claim*: commit a record under the reserved key `\0claim/<silo>`, with the silo's transactional id.
/// 4. *Read* the changelog to an end that is looked up after the claim. If that brings new claims of others, clear
///    those too, and read on to an end looked up after that; repeat.
/// 5. *Check* that the silo's own claim still stands, *delete* the others', and serve.
///
/// A silo that gives a partition back deletes its claim after its last commit: nobody has to fence it. It says
/// *released* only when all its commits to the partition, those of a takeover that it has given up among them, have a
/// known outcome or it has initialised its producer since. For the claim of another process of its name it says so only
/// after Kafka has taken a record under its own epoch: until then it may itself have been fenced by that one.
///
/// Why it is safe: take two silos that claim the same partition. Their claims have an order in the changelog. The later
/// one reads the earlier one (unless a third silo has deleted it, after clearing it), clears that silo, and only then
/// looks up the end to which it restores. So whatever the earlier silo committed before is restored, and it can
/// commit nothing more under that claim: it has released the partition, or is fenced, and then begins a new life of its
/// lane, in which it owns nothing until it has taken the partition over anew, by the same steps. A clearance counts for
/// the claims that had been read when it was asked for; a later claim of the same silo needs another one. A claim can
/// only be deleted by a silo that has cleared its writer, or by its writer; a deletion that was under way while the
/// writer claimed anew is settled before step 5 looks, since step 4 clears the deleter.
///
/// Compaction does no harm: each silo has a key of its own, so no claim hides another.
package struct PartitionClaims: Sendable {
    private struct Entry: Sendable {
        var claim: PartitionClaim
        var offset: Int64
    }

    private var entries: [String: Entry] = [:]
    /// For each silo that was cleared: its claims up to this offset are void.
    private var cleared: [String: Int64] = [:]

    package init() {}

    /// Takes in a claim record, in the order of the changelog.
    ///
    /// - Parameter claim: `nil` for a claim that was deleted.
    package mutating func take(_ claim: PartitionClaim?, of silo: String, at offset: Int64) {
        entries[silo] = claim.map { Entry(claim: $0, offset: offset) }
    }

    /// The silos that have to be cleared, by name.
    package func rivals(of silo: String) -> [PartitionClaim] {
        entries.filter { $0.key != silo && $0.value.offset > cleared[$0.key, default: -1] }
            .sorted { $0.key < $1.key }.map(\.value.claim)
    }

    /// Takes note that a silo has released the partition or was fenced: what was read of it by now is void.
    package mutating func didClear(_ silo: String) {
        guard let entry = entries[silo] else { return }
        cleared[silo] = entry.offset
    }

    /// The silos whose claims stand though they were cleared: they can be deleted.
    package var clearedSilos: [String] {
        cleared.keys.filter { silo in entries[silo].map { $0.offset <= cleared[silo, default: -1] } ?? false }.sorted()
    }

    /// The claim of a silo that stands.
    package func claim(of silo: String) -> PartitionClaim? { entries[silo]?.claim }

    /// Where the claim of a silo stands in the changelog.
    package func offset(ofClaimOf silo: String) -> Int64? { entries[silo]?.offset }

    /// The last claim of all.
    package var latest: PartitionClaim? { entries.values.max { $0.offset < $1.offset }?.claim }
}
