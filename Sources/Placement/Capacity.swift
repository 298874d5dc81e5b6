/// How many partitions each silo may hold.
///
/// A cap of ⌈P/N⌉ for all would step for all silos at once when one joins, and move many times what the join needs. So
/// each silo rounds its own share up or down by a threshold of its own: cap = ⌊x⌋ + [h < frac x] = ⌈x − h⌉, where
/// x = (1 + slack) · share and h in (0, 1) is the silo's own draw. As silos come and go, x changes a little and few caps
/// step.
struct Capacity {
    /// A share from which on plain rendezvous hashing spreads evenly enough (its standard deviation is a tenth).
    static let unlimitedShare = 100.0

    private let silos: [RankedSilo]
    private let thresholds: [Double]
    private let factor: Double
    private let totalWeight: Double

    var siloCount: Int { silos.count }

    init(silos: [RankedSilo], slack: Double) {
        self.silos = silos
        factor = 1 + slack
        thresholds = silos.map { Rendezvous.ownDraw(seed: $0.seed) }
        // Exact: at most 2^21 silos of at most 2^32.
        totalWeight = Double(silos.reduce(UInt64(0)) { $0 + UInt64($1.weight) })
    }

    /// The cap of a silo whose fair share is `share` partitions; at least 1, so that few partitions on many silos do
    /// not leave most of them unable to help.
    func cap(ofSilo silo: Int, share: Double) -> Int {
        guard share < Self.unlimitedShare else { return .max }
        let exact = factor * share - thresholds[silo]
        let floor = Int(exact)
        return max(1, Double(floor) < exact ? floor + 1 : floor)
    }

    /// The caps for owning: as many partitions as there are fit in for certain.
    func owning(partitionCount: Int) -> [Int] {
        let perWeight = Double(partitionCount) / totalWeight
        var caps = silos.indices.map { cap(ofSilo: $0, share: perWeight * Double(silos[$0].weight)) }
        fill(&caps, toHold: partitionCount)
        return caps
    }

    /// The cap of a silo for owning, once another has died.
    func owningCap(ofSilo silo: Int, partitionCount: Int, without dead: Int) -> Int {
        let rest = totalWeight - Double(silos[dead].weight)
        return cap(ofSilo: silo, share: Double(partitionCount) / rest * Double(silos[silo].weight))
    }

    /// The caps for standing by. A silo's fair share is what it would inherit of each other silo's fair share.
    func standingBy(partitionCount: Int) -> [Int] {
        let odds = silos.map { Double($0.weight) / (totalWeight - Double($0.weight)) }
        let sum = odds.reduce(0, +)
        let perWeight = Double(partitionCount) / totalWeight
        return silos.indices.map { cap(ofSilo: $0, share: perWeight * Double(silos[$0].weight) * (sum - odds[$0])) }
    }

    /// Rounding may leave too little room, with few partitions a silo. Then the slack grows until there is enough: one
    /// more goes to the silo whose cap would step first.
    private func fill(_ caps: inout [Int], toHold partitionCount: Int) {
        guard !caps.isEmpty, !caps.contains(.max) else { return }
        var room = caps.reduce(0, +)
        while room < partitionCount {
            let next = caps.indices.map { (Double(caps[$0]) + thresholds[$0]) / Double(silos[$0].weight) }
            let first = next.indices.min { next[$0] != next[$1] ? next[$0] < next[$1] : $0 < $1 }!
            caps[first] += 1
            room += 1
        }
    }
}
