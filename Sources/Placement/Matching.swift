/// Deferred acceptance (Gale and Shapley, 1962): partitions propose to silos in the order of their preference; a silo
/// keeps the best it was offered, up to its cap, and what it lets go proposes to the next. The result is the one stable
/// matching that is best for every partition, whatever the order of the proposals.
struct Matching {
    /// The silo of each partition; nil where all silos it may go to are full of better ones.
    private(set) var silos: [Int?]
    private var held: [[Offer]]
    private var worst: [Offer?]
    private let caps: [Int]

    /// A partition as a silo ranks it.
    private struct Offer {
        let cost: Double
        let partition: Int

        static func precedes(_ first: Offer, _ second: Offer) -> Bool {
            first.cost != second.cost ? first.cost < second.cost : first.partition < second.partition
        }
    }

    /// - Parameters:
    ///   - ranking: the silos in the order of preference.
    ///   - caps: how many each silo may keep, at least 1.
    ///   - allows: whether a partition may go to a silo.
    init(
        partitionCount: Int, ranking: inout SiloRanking, caps: [Int], allows: (Int, Choice) -> Bool = { _, _ in true }
    ) {
        self.caps = caps
        silos = Array(repeating: nil, count: partitionCount)
        held = Array(repeating: [], count: caps.count)
        worst = Array(repeating: nil, count: caps.count)
        var ranks = [Int](repeating: 0, count: partitionCount)
        for first in 0..<partitionCount {
            var proposing: Int? = first
            while let partition = proposing, let choice = ranking.choice(of: partition, at: ranks[partition]) {
                ranks[partition] += 1
                guard allows(partition, choice) else { continue }
                proposing = propose(Offer(cost: choice.cost, partition: partition), to: choice.silo)
            }
        }
    }

    /// How many partitions a silo holds.
    func load(of silo: Int) -> Int { held[silo].count }

    /// Whether a silo with another cap would take a partition beside, or instead of one of, those it holds.
    func wouldTake(_ partition: Int, _ choice: Choice, cap: Int) -> Bool {
        guard held[choice.silo].count >= cap, let worst = worst[choice.silo] else { return true }
        return Offer.precedes(Offer(cost: choice.cost, partition: partition), worst)
    }

    /// Offers a partition to a silo; returns the partition that the silo refuses or lets go.
    private mutating func propose(_ offer: Offer, to silo: Int) -> Int? {
        if held[silo].count < caps[silo] {
            held[silo].append(offer)
            silos[offer.partition] = silo
            if worst[silo].map({ Offer.precedes($0, offer) }) ?? true { worst[silo] = offer }
            return nil
        }
        guard let leaving = worst[silo], Offer.precedes(offer, leaving) else { return offer.partition }
        let place = held[silo].firstIndex { $0.partition == leaving.partition }!
        held[silo][place] = offer
        worst[silo] = held[silo].max(by: Offer.precedes)
        silos[offer.partition] = silo
        silos[leaving.partition] = nil
        return leaving.partition
    }
}
