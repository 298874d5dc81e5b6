import SeededRandom
import Testing

@testable import Placement

/// The same view gives the same assignment; every partition is owned; no silo owns more than its cap.
@Suite struct InvariantTests {
    @Test(arguments: 1...100 as ClosedRange<UInt64>)
    func hold(seed: UInt64) {
        let view = View(randomWithSeed: seed)
        let placement = view.placement
        var generator = SeededGenerator(seed: ~seed)
        var shuffled = view
        shuffled.silos.shuffle(using: &generator)
        #expect(shuffled.placement == placement, "\(view)")
        guard view.silos.contains(where: { $0.weight > 0 }) else {
            #expect(placement.assignment.allSatisfy { $0 == nil })
            return
        }
        #expect(!placement.assignment.contains(nil), "\(view)")
        let loads = placement.loads
        let caps = view.silos.map { placement.capacity(of: $0.id) }
        let isTight = !caps.contains(.max) && caps.reduce(0, +) == Int(view.partitionCount)
        for (silo, cap) in zip(view.silos, caps) {
            #expect(loads[silo.id, default: 0] <= cap, "\(view), \(silo)")
            #expect(cap <= permitted(silo, view, isTight: isTight), "\(view), \(silo)")
        }
        checkStandbys(view, placement)
    }

    /// The rounded share; where the partitions fit in only just, a silo may have been given more.
    private func permitted(_ silo: PlacementCandidate, _ view: View, isTight: Bool) -> Int {
        let share = view.share(of: silo)
        if silo.weight == 0 { return 0 }
        if share >= Capacity.unlimitedShare * 0.999 || isTight { return .max }
        return max(1, Int((1 + view.slack) * share) + 1)
    }

    private func checkStandbys(_ view: View, _ placement: Placement) {
        for partition in 0..<view.partitionCount {
            let standby = placement.standbys(of: partition, count: 1).first
            #expect((standby != nil) == (placement.silos.count > 1), "\(view), partition \(partition)")
            #expect(standby == nil || standby != placement.owner(of: partition), "\(view), partition \(partition)")
        }
    }

    /// Partitions and silos rank one another by the same costs, so the stable matching is also what one gets by going
    /// through all pairs from the cheapest on and taking what is free: slow, but obvious.
    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func ownersAreTheCheapestPairsThatFit(seed: UInt64) {
        var view = View(randomWithSeed: seed)
        view.partitionCount = min(view.partitionCount, 200)
        let placement = view.placement
        let silos = RankedSilo.sorted(view.silos)
        let pairs = (0..<Int(view.partitionCount)).flatMap { partition in
            silos.indices.map { silo in
                let unit = Rendezvous.unit(Rendezvous.draw(seed: silos[silo].seed, partition: partition))
                return (Rendezvous.negativeLogarithm(unit) / Double(silos[silo].weight), partition, silo)
            }
        }
        var owners = [String?](repeating: nil, count: Int(view.partitionCount))
        var room = silos.map { placement.capacity(of: $0.id) }
        for (_, partition, silo) in pairs.sorted(by: { $0.0 < $1.0 }) where owners[partition] == nil && room[silo] > 0 {
            owners[partition] = silos[silo].id
            room[silo] -= 1
        }
        #expect(placement.assignment == owners, "\(view)")
    }

    /// Many silos and few partitions: rounding must neither leave a partition without room nor a silo without a chance.
    @Test func roundingLeavesEnoughRoom() {
        for siloCount in 1...40 {
            for partitionCount: Int32 in [1, 2, 3, 5, 8, 13, 20, 31, 40] {
                let view = View(
                    partitionCount: partitionCount, siloCount: siloCount, siloCount % 2 == 0 ? .equal : .unequal,
                    seed: UInt64(siloCount))
                var tight = view
                tight.slack = 0
                for placement in [view.placement, tight.placement] {
                    #expect(!placement.assignment.contains(nil), "\(view)")
                    #expect(placement.silos.allSatisfy { placement.capacity(of: $0) >= 1 }, "\(view)")
                }
            }
        }
    }

    @Test func fewerPartitionsThanSilosMeansOneEach() {
        let placement = View(partitionCount: 100, siloCount: 300, .equal, seed: 1).placement
        #expect(placement.loads.count == 100)
    }
}
