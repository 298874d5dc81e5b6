import Membership
import Simulation

@main
struct MembershipSimulation {
    static func main() {
        if CommandLine.arguments.count > 1 {
            let first = UInt64(CommandLine.arguments[1])!
            let last = CommandLine.arguments.count > 2 ? UInt64(CommandLine.arguments[2])! : first
            var healing: [Int64] = []
            var steps = 0
            var bad = 0
            for seed in first...last {
                let report = FaultRun.run(seed: seed, trace: first == last ? { print($0) } : nil)
                healing.append(report.healing)
                steps += report.steps
                if !report.violations.isEmpty { bad += 1; print(seed, report.violations.prefix(3)) }
            }
            healing.sort()
            print("bad", bad, "steps", steps, "healing", healing[healing.count / 2], healing[healing.count * 99 / 100], healing.last!)
            return
        }
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
