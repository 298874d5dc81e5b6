/// Who stands by for whom.
///
/// The ideal first standby of a partition owned by A is its owner in the view without A. To compute that, N placements
/// would be needed. The approximation asks each silo, in the partition's order, whether it would take the partition
/// with the cap it gets when A is gone; among those who would, the standbys are matched under caps of their own, so that
/// they are spread as evenly as the owners.
enum Standbys {
    /// - Parameter owning: the owners of the same view.
    /// - Returns: the first standby's place among the sorted silos, for each partition; nil where there is no other silo.
    static func first(
        behind owning: Matching, ranking: inout SiloRanking, capacity: Capacity, partitionCount: Int
    ) -> [Int?] {
        guard capacity.siloCount > 1 else { return Array(repeating: nil, count: partitionCount) }
        let caps = capacity.standingBy(partitionCount: partitionCount)
        let matching = Matching(partitionCount: partitionCount, ranking: &ranking, caps: caps) { partition, choice in
            guard let owner = owning.silos[partition], owner != choice.silo else { return false }
            let cap = capacity.owningCap(ofSilo: choice.silo, partitionCount: partitionCount, without: owner)
            return owning.wouldTake(partition, choice, cap: cap)
        }
        return matching.silos.enumerated().map { partition, silo in
            silo ?? next(after: owning.silos[partition], of: partition, ranking: &ranking)
        }
    }

    /// Where no silo has room left: the best one that is not the owner. Readiness goes before balance.
    private static func next(after owner: Int?, of partition: Int, ranking: inout SiloRanking) -> Int? {
        var rank = 0
        while let choice = ranking.choice(of: partition, at: rank) {
            if choice.silo != owner { return choice.silo }
            rank += 1
        }
        return nil
    }
}
