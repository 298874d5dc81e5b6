import Placement
import SeededRandom

enum Weights: String, CaseIterable, Sendable {
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

/// A view as a test makes it.
struct View: CustomStringConvertible {
    var partitionCount: Int32
    var silos: [PlacementCandidate]
    var slack = 0.25
    var seed: UInt64

    init(partitionCount: Int32, siloCount: Int, _ weights: Weights, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        self.partitionCount = partitionCount
        self.seed = seed
        silos = (0..<siloCount).map { number in
            let suffix = String(generator.next() >> 32, radix: 16)
            return PlacementCandidate(id: "silo-\(number)-\(suffix)", weight: weights.draw(&generator))
        }
    }

    /// 1 to 4,096 partitions on 1 to 300 silos, all orders of magnitude alike, with weights from 0 to the largest.
    init(randomWithSeed seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        partitionCount = Int32.random(in: 1...(1 << Int32.random(in: 0...12, using: &generator)), using: &generator)
        let siloCount = Int.random(in: 1...[1, 3, 10, 50, 300].randomElement(using: &generator)!, using: &generator)
        let heaviest: UInt32 = [1, 100, 1_000, .max].randomElement(using: &generator)!
        let lightest: UInt32 = Bool.random(using: &generator) ? heaviest : 0
        slack = [0, 0.1, 0.25, 0.25, 1].randomElement(using: &generator)!
        self.seed = seed
        silos = (0..<siloCount).map {
            PlacementCandidate(id: "s\($0 &* 7919)", weight: .random(in: lightest...heaviest, using: &generator))
        }
    }

    var placement: Placement { Placement(partitionCount: partitionCount, candidates: silos, slack: slack) }

    var totalWeight: Double { silos.reduce(0) { $0 + Double($1.weight) } }

    func share(of silo: PlacementCandidate) -> Double {
        Double(partitionCount) * Double(silo.weight) / totalWeight
    }

    var description: String {
        "seed \(seed): \(partitionCount) partitions, \(silos.count) silos, slack \(slack), "
            + "weights \(silos.prefix(5).map(\.weight))…"
    }
}

extension Placement {
    /// The owners of all partitions, in order.
    var assignment: [String?] { (0..<partitionCount).map { owner(of: $0) } }

    var firstStandbys: [String?] { (0..<partitionCount).map { standbys(of: $0, count: 1).first } }

    /// How many partitions each silo owns.
    var loads: [String: Int] {
        assignment.reduce(into: [:]) { loads, owner in
            if let owner { loads[owner, default: 0] += 1 }
        }
    }

    /// How many partitions have another owner than in another view.
    func moved(from other: Placement) -> Int {
        zip(assignment, other.assignment).count { $0 != $1 }
    }
}
