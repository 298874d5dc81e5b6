import OrchestraCore

/// The committed offsets of all groups, and those that wait for their transaction.
struct GroupOffsets: Sendable {
    /// Group id → partition → offset.
    private(set) var committed: [String: [TopicPartition: CommittedOffset]] = [:]
    /// Group id → producer id → partition → offset.
    private(set) var pending: [String: [Int64: [TopicPartition: CommittedOffset]]] = [:]

    init(committed: [OffsetRow], pending: [PendingOffsetRow], now: Timestamp) {
        for row in committed { self.committed[row.groupID, default: [:]][row.partition] = row.committed.past(now) }
        for row in pending {
            self.pending[row.groupID, default: [:]][row.producerID, default: [:]][row.partition] =
                row.committed.past(now)
        }
    }

    func isEmpty(_ groupID: String) -> Bool { committed[groupID] == nil && pending[groupID] == nil }

    func hasPending(_ groupID: String, _ partition: TopicPartition) -> Bool {
        pending[groupID]?.values.contains { $0[partition] != nil } ?? false
    }

    mutating func commit(
        _ groupID: String, _ partition: TopicPartition, _ offset: CommittedOffset, directives: inout [GroupDirective]
    ) {
        committed[groupID, default: [:]][partition] = offset
        directives.append(.storeOffset(groupID: groupID, partition, offset))
    }

    mutating func hold(
        _ groupID: String, producerID: Int64, _ partition: TopicPartition, _ offset: CommittedOffset,
        directives: inout [GroupDirective]
    ) {
        pending[groupID, default: [:]][producerID, default: [:]][partition] = offset
        directives.append(.storePendingOffset(producerID: producerID, groupID: groupID, partition, offset))
    }

    /// Applies or drops what a producer's transaction holds for a group. An offset that was committed outside the
    /// transaction after it is newer and stays.
    mutating func complete(
        _ groupID: String, producerID: Int64, outcome: TransactionOutcome, directives: inout [GroupDirective]
    ) {
        guard let held = pending[groupID]?.removeValue(forKey: producerID) else { return }
        if pending[groupID]?.isEmpty == true { pending[groupID] = nil }
        if outcome == .commit {
            for (partition, offset) in held.sorted(by: { $0.key < $1.key }) {
                if let present = committed[groupID]?[partition], present.commitTime > offset.commitTime { continue }
                commit(groupID, partition, offset, directives: &directives)
            }
        }
        directives.append(.removePendingOffsets(producerID: producerID, groupID: groupID))
    }

    func fetch(_ groupID: String, _ partitions: [TopicPartition]?, requireStable: Bool) -> [FetchedOffset] {
        let wanted = partitions ?? committed[groupID].map { $0.keys.sorted() } ?? []
        return wanted.map { partition in
            if requireStable, hasPending(groupID, partition) {
                return FetchedOffset(partition: partition, error: .unstableOffsetCommit, committed: nil)
            }
            return FetchedOffset(partition: partition, error: .none, committed: committed[groupID]?[partition])
        }
    }

    /// Removes offsets of one group, committed and pending.
    mutating func remove(
        _ groupID: String, where isRemoved: (TopicPartition) -> Bool, directives: inout [GroupDirective]
    ) {
        for partition in (committed[groupID] ?? [:]).keys.sorted() where isRemoved(partition) {
            committed[groupID]?[partition] = nil
            directives.append(.removeOffset(groupID: groupID, partition))
        }
        if committed[groupID]?.isEmpty == true { committed[groupID] = nil }
        var dropped: Set<TopicPartition> = []
        for (producerID, held) in pending[groupID] ?? [:] {
            dropped.formUnion(held.keys.filter(isRemoved))
            let kept = held.filter { !isRemoved($0.key) }
            pending[groupID]?[producerID] = kept.isEmpty ? nil : kept
        }
        if pending[groupID]?.isEmpty == true { pending[groupID] = nil }
        for partition in dropped.sorted() {
            directives.append(.removePendingOffset(groupID: groupID, partition))
        }
    }

    /// Every group that has offsets, committed or pending, sorted.
    var groupIDs: [String] { Set(committed.keys).union(pending.keys).sorted() }
}

extension CommittedOffset {
    /// Not committed in the future, where a clock that has been set back since then put it: it would outlast all that
    /// is committed until that time.
    fileprivate func past(_ now: Timestamp) -> CommittedOffset {
        var offset = self
        offset.commitTime = min(commitTime, now)
        return offset
    }
}
