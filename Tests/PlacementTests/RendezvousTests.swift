import Foundation
import SeededRandom
import Testing

@testable import Placement

@Suite struct RendezvousTests {
    /// The first numbers of SplitMix64 under the seeds 0 and 1234567, as its authors' program prints them.
    @Test(
        arguments: [
            (0, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]),
            (1_234_567, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]),
        ] as [(UInt64, [UInt64])])
    func drawsAreSplitMix64(seed: UInt64, numbers: [UInt64]) {
        for (partition, number) in numbers.enumerated() {
            #expect(Rendezvous.draw(seed: seed, partition: partition) == number)
        }
    }

    @Test func seedsDifferForIDsThatHardlyDiffer() {
        var ids = (0...40).map { String(repeating: "a", count: $0) }
        ids += (1...40).map { String(repeating: "a", count: $0 - 1) + "\0" }
        ids += (0..<1_000).map { "silo-\($0)" }
        #expect(Set(ids.map { Rendezvous.seed(of: $0) }).count == ids.count)
    }

    @Test func logarithmIsRight() {
        var generator = SeededGenerator(seed: 1)
        var units = (0..<20_000).map { _ in Rendezvous.unit(generator.next()) }
        units += (1...53).map { Double(sign: .plus, exponent: -$0, significand: 1) }
        units += (1...52).map { 1 - Double(sign: .plus, exponent: -$0, significand: 1) }
        for unit in units {
            let expected = -log(unit)
            #expect(abs(Rendezvous.negativeLogarithm(unit) - expected) <= 1e-14 * expected, "of \(unit)")
        }
    }

    @Test func unitsAreNeverZeroOrOne() {
        #expect(Rendezvous.unit(0) == 0x1p-53)
        #expect(Rendezvous.unit(.max) == 1 - 0x1p-53)
    }

    @Test func rankingIsTheOrderOfCosts() {
        let view = View(partitionCount: 50, siloCount: 60, .unequal, seed: 3)
        let silos = RankedSilo.sorted(view.silos)
        var ranking = SiloRanking(silos: silos, partitionCount: 50)
        for partition in 0..<50 {
            let costs = silos.map {
                -log(Rendezvous.unit(Rendezvous.draw(seed: $0.seed, partition: partition))) / Double($0.weight)
            }
            let expected = silos.indices.sorted { costs[$0] < costs[$1] }
            #expect((0..<60).map { ranking.choice(of: partition, at: $0)?.silo } == expected)
            #expect(ranking.choice(of: partition, at: 60) == nil)
        }
    }

    @Test func weightsAreTheOddsOfBeingBest() {
        let silos = RankedSilo.sorted([
            PlacementCandidate(id: "a", weight: 100), PlacementCandidate(id: "b", weight: 300),
            PlacementCandidate(id: "c", weight: 600),
        ])
        let ranking = SiloRanking(silos: silos, partitionCount: 0)
        let best = (0..<20_000).map { ranking.best(1, for: $0)[0].silo }
        for (silo, expected) in [(0, 2_000.0), (1, 6_000), (2, 12_000)] {
            let count = best.count { $0 == silo }
            #expect(abs(Double(count) - expected) < 5 * expected.squareRoot(), "\(silo): \(count)")
        }
    }
}
