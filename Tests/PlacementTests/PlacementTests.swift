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
        let equal = Placement(partitionCount: 16, candidates: Self.three)
        #expect(digits(equal.assignment) == "2112111223323231")
        #expect(digits(equal.firstStandbys) == "1333233312211112")
        #expect(Self.three.map { equal.capacity(of: $0.id) } == [7, 7, 7])

        let unequal = Placement(
            partitionCount: 16,
            candidates: zip(Self.three, [50, 100, 250]).map { PlacementCandidate(id: $0.id, weight: $1) })
        #expect(digits(unequal.assignment) == "2333333323323233")
        #expect(digits(unequal.firstStandbys) == "3222211232232312")
        #expect(Self.three.map { unequal.capacity(of: $0.id) } == [3, 5, 13])
    }

    @Test(arguments: [(1024, 10, 0x0190_ff71_b889_adf5), (4096, 100, 0x40d8_43ec_0bce_c449)] as [(Int32, Int, UInt64)])
    func largeAssignmentsAreTheSameForever(partitionCount: Int32, siloCount: Int, checksum: UInt64) {
        let placement = Placement(
            partitionCount: partitionCount,
            candidates: (0..<siloCount).map {
                PlacementCandidate(id: "silo-\($0)", weight: UInt32(50 + $0 % 4 * 50))
            })
        let lines = zip(placement.assignment, placement.firstStandbys).map { "\($0 ?? "")/\($1 ?? "")\n" }
        // FNV-1a.
        let hash = lines.joined().utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0100_0000_01b3 }
        #expect(hash == checksum)
    }

    /// The last digit of each id.
    private func digits(_ ids: [String?]) -> String {
        ids.map { $0.map { String($0.suffix(1)) } ?? "-" }.joined()
    }
}
