/// A silo as placement sees it.
package struct PlacementCandidate: Sendable, Hashable {
    /// The node's id, without its generation: a silo that restarts gets its partitions back.
    package var id: String
    /// Its share relative to the other silos: 100 is normal, 200 takes twice as much, 0 owns nothing.
    package var weight: UInt32

    package init(id: String, weight: UInt32 = 100) {
        self.id = id
        self.weight = weight
    }
}

/// Which silo owns which partition, and which one stands by: a pure function of the view, so all nodes that agree on
/// the view agree on it, without a word between them. docs/PLACEMENT.md explains the rule and has the numbers.
package struct Placement: Sendable, Equatable {
    /// The ids of the silos with weight, sorted by their bytes.
    package var silos: [String] { ranked.map(\.id) }
    /// How many partitions there are.
    package let partitionCount: Int32

    private let ranked: [RankedSilo]
    private let caps: [Int]
    /// The silo's place in `ranked`, of each partition.
    private let owners: [Int?]
    private let firstStandbys: [Int?]

    /// Nothing to own and nobody to own it.
    package static let empty = Placement(partitionCount: 0, candidates: [])

    /// Places the partitions `0..<partitionCount`: 4,096 on 1,000 silos take some tens of milliseconds.
    ///
    /// - Parameters:
    ///   - partitionCount: how many partitions every grain topic has; less than 0 is 0.
    ///   - candidates: the silos of the view, in any order. Clients (agents, gateways) do not belong here.
    ///   - slack: how much more than its fair share a silo may own, as a fraction, 0 to 100. All nodes of a
    ///     cluster must use the same. Default 0.25: the balance of bounded loads at little needless movement.
    package init(partitionCount: Int32, candidates: [PlacementCandidate], slack: Double = 0.25) {
        precondition((0...100).contains(slack), "the slack of a placement is a number from 0 to 100, not \(slack)")
        let count = max(0, Int(partitionCount))
        let ranked = RankedSilo.sorted(candidates)
        let capacity = Capacity(silos: ranked, slack: slack)
        var ranking = SiloRanking(silos: ranked, partitionCount: count)
        let caps = capacity.owning(partitionCount: count)
        let owning = Matching(partitionCount: count, ranking: &ranking, caps: caps)
        self.partitionCount = Int32(count)
        self.ranked = ranked
        self.caps = caps
        owners = owning.silos
        firstStandbys = Standbys.first(behind: owning, ranking: &ranking, capacity: capacity, partitionCount: count)
    }

    /// The silo that the view nominates for a partition.
    ///
    /// - Returns: its id; nil without candidates that have weight, and for a partition that does not exist.
    package func owner(of partition: Int32) -> String? {
        guard let index = index(of: partition), let owner = owners[index] else { return nil }
        return ranked[owner].id
    }

    /// The silos that should be ready to take a partition over, best first. The first is nearly always the next owner
    /// should the present one die, and first places are spread evenly; the others follow in the partition's own order.
    ///
    /// - Parameter count: how many are wanted.
    /// - Returns: fewer than `count` when there are not that many other silos; never the owner.
    package func standbys(of partition: Int32, count: Int) -> [String] {
        guard count > 0, let index = index(of: partition), let first = firstStandbys[index] else { return [] }
        guard count > 1 else { return [ranked[first].id] }
        let best = SiloRanking(silos: ranked, partitionCount: 0).best(min(count, ranked.count) + 2, for: index)
        let further = best.map(\.silo).filter { $0 != first && $0 != owners[index] }
        return ([first] + further).prefix(count).map { ranked[$0].id }
    }

    /// The partitions that the view nominates a silo for, in ascending order.
    package func partitions(ownedBy silo: String) -> [Int32] {
        guard let place = place(of: silo) else { return [] }
        return owners.indices.filter { owners[$0] == place }.map { Int32($0) }
    }

    /// How many partitions a silo may own at most in this view: `Int.max` when its fair share is so large that hashing
    /// alone spreads evenly; 0 for a silo that is no candidate.
    package func capacity(of silo: String) -> Int {
        place(of: silo).map { caps[$0] } ?? 0
    }

    private func index(of partition: Int32) -> Int? {
        partition >= 0 && partition < partitionCount ? Int(partition) : nil
    }

    private func place(of silo: String) -> Int? {
        var low = 0
        var high = ranked.count
        while low < high {
            let middle = (low + high) / 2
            if ranked[middle].id.utf8.lexicographicallyPrecedes(silo.utf8) { low = middle + 1 } else { high = middle }
        }
        return low < ranked.count && ranked[low].id.utf8.elementsEqual(silo.utf8) ? low : nil
    }
}
