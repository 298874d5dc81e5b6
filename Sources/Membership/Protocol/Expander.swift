import SeededRandom

/// Who a node talks to: its neighbours on several pseudo-random rings of all live members.
///
/// On each ring the members are ordered by a hash of their key, and everyone is joined to its successor and its
/// predecessor. The union of a few such rings is an expander with high probability: news crosses it in O(log N)
/// steps, a node keeps O(log N) connections, and since everyone is somebody's successor on every ring, everyone is
/// probed. The rings follow from the members alone, so nodes with the same members agree on every edge, and an edge
/// is known at both of its ends.
///
/// After Suresh et al., "Stable and Consistent Membership at Scale with Rapid", 2018; there the monitoring graph has
/// directed edges and N is agreed on, here neither is needed.
struct Expander: Sendable {
    private let ownKey: UInt64
    private var successors: [NodeID?] = []
    private var predecessors: [NodeID?] = []
    /// Without duplicates, in ring order; the same for the same members.
    private(set) var neighbours: [NodeID] = []

    init(of id: NodeID) { ownKey = id.key }

    func contains(_ id: NodeID) -> Bool { neighbours.contains(id) }

    /// The distance from this node to another on a ring, clockwise.
    @inline(__always)
    private func distance(to key: UInt64, ring: Int) -> UInt64 {
        let salt = UInt64(ring + 1) &* 0x9e37_79b9_7f4a_7c15
        return mixed(key ^ salt) &- mixed(ownKey ^ salt)
    }

    /// - Returns: whether the neighbours have changed.
    mutating func insert(_ id: NodeID, table: MemberTable, ringCount: Int) -> Bool {
        guard ringCount == successors.count, !Self.isMesh(table, ringCount) else {
            return rebuild(table: table, ringCount: ringCount)
        }
        var changed = false
        for ring in 0..<ringCount {
            let place = distance(to: id.key, ring: ring)
            if successors[ring].map({ place < distance(to: $0.key, ring: ring) }) ?? true {
                successors[ring] = id
                changed = true
            }
            if predecessors[ring].map({ place > distance(to: $0.key, ring: ring) }) ?? true {
                predecessors[ring] = id
                changed = true
            }
        }
        if changed { refresh() }
        return changed
    }

    /// - Returns: whether the neighbours have changed.
    mutating func remove(_ id: NodeID, table: MemberTable, ringCount: Int) -> Bool {
        guard neighbours.contains(id) || ringCount != successors.count || Self.isMesh(table, ringCount) else {
            return false
        }
        return rebuild(table: table, ringCount: ringCount)
    }

    /// In a small cluster everybody is everybody's neighbour.
    private static func isMesh(_ table: MemberTable, _ ringCount: Int) -> Bool {
        table.liveCount <= 2 * ringCount + 1
    }

    /// Finds the neighbours on every ring anew, in one pass over the live members.
    mutating func rebuild(table: MemberTable, ringCount: Int) -> Bool {
        let before = neighbours
        var nearest = [(distance: UInt64, id: NodeID?)](repeating: (.max, nil), count: ringCount)
        var farthest = [(distance: UInt64, id: NodeID?)](repeating: (0, nil), count: ringCount)
        table.forEachUnordered { entry in
            let id = entry.record.id
            guard entry.record.status.isLive, id.key != ownKey else { return }
            for ring in 0..<ringCount {
                let place = distance(to: id.key, ring: ring)
                if place < nearest[ring].distance { nearest[ring] = (place, id) }
                if place > farthest[ring].distance { farthest[ring] = (place, id) }
            }
        }
        successors = nearest.map(\.id)
        predecessors = farthest.map(\.id)
        refresh()
        if Self.isMesh(table, ringCount) {
            var all: [NodeID] = []
            table.forEachUnordered { entry in
                if entry.record.status.isLive, entry.record.id.key != ownKey { all.append(entry.record.id) }
            }
            neighbours = all.sorted()
            // Rings are looked at again once the cluster has outgrown the mesh.
            successors = []
        }
        return neighbours != before
    }

    private mutating func refresh() {
        neighbours.removeAll(keepingCapacity: true)
        for case let id? in successors where !neighbours.contains(id) { neighbours.append(id) }
        for case let id? in predecessors where !neighbours.contains(id) { neighbours.append(id) }
    }
}
