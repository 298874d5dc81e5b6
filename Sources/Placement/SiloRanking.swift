/// A silo that may own partitions.
struct RankedSilo: Sendable, Equatable {
    let id: String
    /// Above 0.
    let weight: UInt32
    let seed: UInt64

    /// The candidates with weight, sorted by the bytes of their ids. Of several candidates with one id, the heaviest
    /// counts, so that their order does not matter.
    static func sorted(_ candidates: [PlacementCandidate]) -> [RankedSilo] {
        let ordered = candidates.filter { $0.weight > 0 }.sorted { first, second in
            if first.id.utf8.elementsEqual(second.id.utf8) { return first.weight > second.weight }
            return first.id.utf8.lexicographicallyPrecedes(second.id.utf8)
        }
        var silos: [RankedSilo] = []
        silos.reserveCapacity(ordered.count)
        for candidate in ordered {
            if let last = silos.last, last.id.utf8.elementsEqual(candidate.id.utf8) { continue }
            silos.append(
                RankedSilo(id: candidate.id, weight: candidate.weight, seed: Rendezvous.seed(of: candidate.id)))
        }
        return silos
    }
}

/// A silo as a partition ranks it.
struct Choice: Sendable, Equatable {
    /// Lower is better.
    var cost: Double
    /// The silo's place in the sorted list; it settles ties.
    var silo: Int

    static func precedes(_ first: Choice, _ second: Choice) -> Bool {
        first.cost != second.cost ? first.cost < second.cost : first.silo < second.silo
    }
}

/// The silos in the order in which each partition prefers them. Only the first few are ever asked for, so only they are
/// sorted; the rest is worked out when somebody asks.
struct SiloRanking {
    private let seeds: [UInt64]
    private let weights: [Double]
    private var rows: [[Choice]]

    /// How many are sorted at first: what owner and standby ask for, nearly always.
    private static let usualDepth = 6

    init(silos: [RankedSilo], partitionCount: Int) {
        seeds = silos.map(\.seed)
        weights = silos.map { Double($0.weight) }
        rows = []
        rows.reserveCapacity(partitionCount)
        for partition in 0..<partitionCount { rows.append(best(Self.usualDepth, for: partition)) }
    }

    /// The silo at a rank, from 0, or nil when there are no more.
    mutating func choice(of partition: Int, at rank: Int) -> Choice? {
        guard rank < seeds.count else { return nil }
        if rank >= rows[partition].count { rows[partition] = best(4 * rank, for: partition) }
        return rows[partition][rank]
    }

    /// The first `count` silos of a partition, best first; all if there are not so many.
    func best(_ count: Int, for partition: Int) -> [Choice] {
        let count = min(count, seeds.count)
        var best: [Choice] = []
        guard count > 0 else { return best }
        best.reserveCapacity(count)
        var limit = Double.infinity
        for silo in seeds.indices {
            let weight = weights[silo]
            let unit = Rendezvous.unit(Rendezvous.draw(seed: seeds[silo], partition: partition))
            // −ln(u) > 1 − u: most silos are out of the question before the logarithm. The factor outweighs rounding.
            if (1 - unit) * 0.999 > limit * weight { continue }
            let choice = Choice(cost: Rendezvous.negativeLogarithm(unit) / weight, silo: silo)
            if best.count == count {
                guard Choice.precedes(choice, best[count - 1]) else { continue }
                best.removeLast()
            }
            Self.insert(choice, into: &best)
            if best.count == count { limit = best[count - 1].cost }
        }
        return best
    }

    private static func insert(_ choice: Choice, into best: inout [Choice]) {
        var low = 0
        var high = best.count
        while low < high {
            let middle = (low + high) / 2
            if Choice.precedes(best[middle], choice) { low = middle + 1 } else { high = middle }
        }
        best.insert(choice, at: low)
    }
}
