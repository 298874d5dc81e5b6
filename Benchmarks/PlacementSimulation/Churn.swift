import Placement

/// What one view, and the views after a join and after a leave, show; or the mean of several.
struct Churn {
    private var views = 0.0
    private var worstLoads = 0.0
    private var standbyLoads = 0.0
    private var movedOnJoin = 0.0
    private var optimumOnJoin = 0.0
    private var movedNeedlessly = 0.0
    private var meanLoads = 0.0
    private var orphans = 0.0
    private var hits = 0.0

    init() {}

    init(partitionCount: Int32, siloCount: Int, weights: Weights, slack: Double, seed: UInt64) {
        var all = View.silos(siloCount + 1, weights, seed: seed)
        let newcomer = all.removeLast()
        let view = View(partitionCount: partitionCount, silos: all, slack: slack)
        views = 1
        worstLoads = view.worstLoad
        standbyLoads = view.worstStandbyLoad
        let joined = view.with(all + [newcomer])
        movedOnJoin = Double(joined.moved(from: view))
        optimumOnJoin = joined.share(of: newcomer)
        for leaver in stride(from: 0, to: siloCount, by: max(1, siloCount / 20)) { leave(view, leaver) }
    }

    private mutating func leave(_ view: View, _ index: Int) {
        var rest = view.silos
        let leaver = rest.remove(at: index)
        let after = view.with(rest)
        let orphaned = view.placement.partitions(ownedBy: leaver.id)
        orphans += Double(orphaned.count)
        movedNeedlessly += Double(after.moved(from: view) - orphaned.count)
        meanLoads += Double(view.partitionCount) / Double(view.silos.count)
        hits += Double(
            orphaned.count { view.placement.standbys(of: $0, count: 1).first == after.placement.owner(of: $0) })
    }

    mutating func add(_ other: Churn) {
        views += other.views
        worstLoads += other.worstLoads
        standbyLoads += other.standbyLoads
        movedOnJoin += other.movedOnJoin
        optimumOnJoin += other.optimumOnJoin
        movedNeedlessly += other.movedNeedlessly
        meanLoads += other.meanLoads
        orphans += other.orphans
        hits += other.hits
    }

    /// The largest load of a silo relative to its fair share, mean of the views.
    var worstLoad: Double { worstLoads / views }
    /// The same for standing by.
    var standbyLoad: Double { standbyLoads / views }
    /// Partitions that changed owner when a silo joined, relative to the newcomer's fair share.
    var join: Double { movedOnJoin / optimumOnJoin }
    /// Partitions of others that changed owner when a silo left, relative to the mean load.
    var needlessOnLeave: Double { movedNeedlessly / meanLoads }
    /// The share of the leaver's partitions that went to their first standby.
    var standbyHits: Double { hits / orphans }
}

/// The joins that move most relative to the newcomer's fair share, as clusters grow from 3 to 301 silos.
struct WorstJoin {
    /// The worst join of each cluster.
    private var worst: [Double] = []
    private(set) var mean = 0.0

    var largest: Double { worst.max() ?? 0 }
    var typical: Double { worst.reduce(0, +) / Double(worst.count) }

    init(partitionCount: Int32, weights: Weights, seeds: ClosedRange<UInt64>) {
        var moved = 0.0
        var optimum = 0.0
        for seed in seeds {
            let all = View.silos(301, weights, seed: seed)
            var view = View(partitionCount: partitionCount, silos: Array(all.prefix(3)), slack: 0.25)
            var ratio = 0.0
            for count in 4...all.count {
                let next = view.with(Array(all.prefix(count)))
                let change = Double(next.moved(from: view))
                let share = next.share(of: all[count - 1])
                moved += change
                optimum += share
                ratio = max(ratio, change / share)
                view = next
            }
            worst.append(ratio)
        }
        mean = moved / optimum
    }
}
