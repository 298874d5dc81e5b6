import Placement
import SeededRandom

/// How heavy the simulated silos are.
enum Weights: String, CaseIterable {
    case equal
    /// 50, 100, 200 or 400, with the same probability.
    case unequal

    func draw(_ generator: inout SeededGenerator) -> UInt32 {
        switch self {
        case .equal: 100
        case .unequal: [50, 100, 200, 400].randomElement(using: &generator)!
        }
    }
}

/// A view and its placement.
struct View {
    let partitionCount: Int32
    let slack: Double
    let silos: [PlacementCandidate]
    let placement: Placement

    init(partitionCount: Int32, silos: [PlacementCandidate], slack: Double) {
        self.partitionCount = partitionCount
        self.slack = slack
        self.silos = silos
        placement = Placement(partitionCount: partitionCount, candidates: silos, slack: slack)
    }

    /// Silos with random ids, as many as are asked for.
    static func silos(_ count: Int, _ weights: Weights, seed: UInt64) -> [PlacementCandidate] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { number in
            let suffix = String(generator.next() >> 32, radix: 16)
            return PlacementCandidate(id: "silo-\(number)-\(suffix)", weight: weights.draw(&generator))
        }
    }

    func with(_ silos: [PlacementCandidate]) -> View {
        View(partitionCount: partitionCount, silos: silos, slack: slack)
    }

    var totalWeight: Double { silos.reduce(0) { $0 + Double($1.weight) } }

    /// The partitions that a silo would own if partitions were divisible.
    func share(of silo: PlacementCandidate) -> Double {
        Double(partitionCount) * Double(silo.weight) / totalWeight
    }

    /// How many partitions have another owner than in another view of as many partitions.
    func moved(from other: View) -> Int {
        (0..<partitionCount).count { placement.owner(of: $0) != other.placement.owner(of: $0) }
    }

    /// The largest load relative to its silo's fair share.
    var worstLoad: Double {
        silos.map { Double(placement.partitions(ownedBy: $0.id).count) / share(of: $0) }.max() ?? 0
    }

    /// The largest number of partitions that one silo stands by for, relative to what it would inherit of the others.
    var worstStandbyLoad: Double {
        var counts: [String: Int] = [:]
        for partition in 0..<partitionCount {
            if let standby = placement.standbys(of: partition, count: 1).first { counts[standby, default: 0] += 1 }
        }
        let odds = silos.map { Double($0.weight) / (totalWeight - Double($0.weight)) }
        let sum = odds.reduce(0, +)
        return zip(silos, odds).map { Double(counts[$0.id] ?? 0) / (share(of: $0) * (sum - $1)) }.max() ?? 0
    }
}
