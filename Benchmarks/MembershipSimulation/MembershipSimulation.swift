import Membership
import Simulation

@main
struct MembershipSimulation {
    static func main() {
        for nodes in [5, 10, 100, 1000] {
            for silent in [false, true] {
                for crashes in nodes >= 100 ? [1, 10] : [1] {
                    var all: [Double] = []
                    var views = 0
                    var peak = 0
                    var wrong = 0
                    for seed in 1...UInt64(nodes > 500 ? 3 : 10) {
                        let outcome = CrashExperiment.run(nodeCount: nodes, crashes: crashes, silent: silent, seed: seed)
                        all.append(outcome.all)
                        views = max(views, outcome.viewChanges)
                        peak = max(peak, outcome.peakBytesPerSecond)
                        wrong += outcome.falseDeaths
                    }
                    all.sort()
                    print(nodes, silent ? "silent" : "refused", crashes, "all:", all[all.count / 2], all.last!, "views", views, "peak", peak, "wrong", wrong)
                }
            }
        }
    }
}
