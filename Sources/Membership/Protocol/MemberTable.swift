import SeededRandom

/// Everything a node remembers about members, the ended ones included.
///
/// Members are spread over 256 buckets by their key. A bucket is the unit of copying (a snapshot shares the buckets
/// that have not changed since), and of synchronisation: each keeps a digest of what it holds, maintained with every
/// change, so that two nodes find out by a few bytes in which buckets they differ.
///
/// A suspicion is not part of the digests. It is short, spreads by gossip, and every node that hears of it forms its
/// own opinion. Neither are the ended: they are told to who still believes them alive.
package struct MemberTable: Sendable {
    package struct Entry: Sendable {
        package var record: MemberRecord
        /// When the record's status was first believed here.
        package var since: Moment
        /// A death that this node declared without the confirmation of any other silo. It is kept to itself.
        package var isUnwitnessed: Bool

        package init(record: MemberRecord, since: Moment, isUnwitnessed: Bool = false) {
            self.record = record
            self.since = since
            self.isUnwitnessed = isUnwitnessed
        }
    }

    private struct Bucket: Sendable {
        var entries: [NodeID: Entry] = [:]
        var digest: UInt64 = 0
    }

    package static let bucketCount = 256

    private var buckets = [Bucket](repeating: Bucket(), count: bucketCount)
    /// Of all buckets together. Equal digests mean the same live members, generations and incarnations.
    package private(set) var digest: UInt64 = 0
    /// Of the live silos alone: what placement depends on (id, generation, weight, address).
    package private(set) var viewDigest: UInt64 = 0
    package private(set) var liveCount = 0
    package private(set) var liveSiloCount = 0
    package private(set) var count = 0

    package init() {}

    package static func bucket(of id: NodeID) -> Int { Int(id.key >> 56) }

    package subscript(id: NodeID) -> Entry? { buckets[Self.bucket(of: id)].entries[id] }

    package mutating func set(_ entry: Entry) {
        let id = entry.record.id
        let index = Self.bucket(of: id)
        let previous = buckets[index].entries.updateValue(entry, forKey: id)
        if let previous { account(previous, in: index, sign: -1) }
        account(entry, in: index, sign: 1)
    }

    package mutating func remove(_ id: NodeID) {
        let index = Self.bucket(of: id)
        guard let previous = buckets[index].entries.removeValue(forKey: id) else { return }
        account(previous, in: index, sign: -1)
    }

    private mutating func account(_ entry: Entry, in index: Int, sign: Int) {
        let change = entry.digest
        buckets[index].digest = sign > 0 ? buckets[index].digest &+ change : buckets[index].digest &- change
        digest = sign > 0 ? digest &+ change : digest &- change
        count += sign
        guard entry.record.status.isLive else { return }
        liveCount += sign
        guard entry.record.description?.role == .silo else { return }
        liveSiloCount += sign
        viewDigest = sign > 0 ? viewDigest &+ entry.viewDigest : viewDigest &- entry.viewDigest
    }

    /// The digests of all buckets, folded to 32 bits each.
    package var bucketDigests: [UInt32] {
        buckets.map { UInt32(truncatingIfNeeded: $0.digest ^ ($0.digest >> 32)) }
    }

    package func count(inBucket index: Int) -> Int { buckets[index].entries.count }

    /// The records of one bucket that may be told to others, ordered by name.
    package func records(inBucket index: Int) -> [MemberRecord] {
        buckets[index].entries.values.lazy.filter { !$0.isUnwitnessed }.map(\.record).sorted { $0.id < $1.id }
    }

    /// Calls the body for each entry, in no particular order: the result must not depend on it.
    package func forEachUnordered(_ body: (Entry) -> Void) {
        for bucket in buckets { for entry in bucket.entries.values { body(entry) } }
    }

    /// All entries, ordered by name.
    package var sorted: [Entry] {
        var all: [Entry] = []
        all.reserveCapacity(count)
        forEachUnordered { all.append($0) }
        return all.sorted { $0.record.id < $1.record.id }
    }
}

extension MemberTable.Entry {
    /// The ended do not count: nodes forget them at different times, and those that join never hear of them.
    fileprivate var digest: UInt64 {
        guard record.status.isLive else { return 0 }
        return mixed(record.id.key ^ mixed(record.generation &+ mixed(UInt64(record.incarnation))))
    }

    fileprivate var viewDigest: UInt64 {
        guard let description = record.description else { return 0 }
        let place = description.address.key &+ UInt64(description.weight)
        return mixed(record.id.key ^ mixed(record.generation &+ mixed(place)))
    }
}
