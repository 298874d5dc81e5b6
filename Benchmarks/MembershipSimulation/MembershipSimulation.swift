import Foundation
import Membership
import Simulation

/// Prints how fast and how surely simulated clusters of 10 to 10,000 nodes agree on who lives.
///
///     membership-sim                  the whole table (minutes)
///     membership-sim 100 1000         for these numbers of nodes
///     membership-sim crash 1000 10    one part (crash, join, impair, part) for so many nodes and seeds
///     membership-sim bootstrap 2000   so many nodes that start within one second
///     membership-sim faults 1 10000   random faults under these seeds, with the invariants checked; exit status 1 if
///                                     one does not hold
@main
struct MembershipSimulation {
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        let numbers = arguments.compactMap { Int($0) }
        if arguments.first == "faults" { return await faults(numbers.map { UInt64($0) }) }
        print("| nodes | measure | median | p99 | seeds |")
        print("|---|---|---|---|---|")
        let seeds = numbers.dropFirst().first.map { UInt64($0) }
        switch arguments.first {
        case "crash": crashes(numbers.first ?? 1000, seeds: seeds ?? 10)
        case "join": joins(numbers.first ?? 1000, seeds: seeds ?? 5)
        case "bootstrap": bootstrap(numbers.first ?? 2000, seeds: seeds ?? 3)
        case "part": partitions(numbers.first ?? 25, seeds: seeds ?? 10)
        case "impair": impairments(numbers.first ?? 1000, seeds: seeds ?? 2)
        default:
            for nodes in numbers.isEmpty ? [10, 100, 1_000, 10_000] : numbers { table(nodes) }
            if numbers.isEmpty { bootstrap(2_000, seeds: 3) }
        }
    }

    private static func row(
        _ nodes: Int, _ measure: String, _ numbers: Numbers, seeds: UInt64, unit: String, decimals: Int = 2
    ) {
        let median = text(numbers.quantile(0.5), decimals: decimals)
        let tail = text(numbers.quantile(0.99), decimals: decimals)
        print("| \(nodes) | \(measure) | \(median) \(unit) | \(tail) \(unit) | \(seeds) |")
    }

    private static func table(_ nodes: Int) {
        let seeds: UInt64 = nodes >= 10_000 ? 3 : nodes >= 1_000 ? 10 : 100
        crashes(nodes, seeds: seeds)
        joins(nodes, seeds: max(2, seeds / 4))
        impairments(nodes, seeds: max(1, seeds / 10))
    }

    private static func crashes(_ nodes: Int, seeds: UInt64) {
        for silent in [true, false] {
            let kind = silent ? "silent crash" : "crash, port refused"
            crashes(nodes, count: 1, silent: silent, kind: kind, seeds: seeds)
            guard nodes >= 100 else { continue }
            crashes(nodes, count: 10, silent: silent, kind: "10 at once, \(kind)", seeds: max(2, seeds / 4))
        }
    }

    private static func joins(_ nodes: Int, seeds: UInt64) {
        var times = Numbers()
        for seed in 1...seeds { times.add(JoinExperiment.join(nodeCount: nodes, seed: seed)) }
        row(nodes, "a join is known to 99.99 %", times, seeds: seeds, unit: "s")
    }

    private static func partitions(_ nodes: Int, seeds: UInt64) {
        var parted = Numbers()
        var healed = Numbers()
        for seed in 1...seeds {
            let outcome = PartitionExperiment.run(nodeCount: nodes, seed: seed)
            parted.add(outcome.parted)
            healed.add(outcome.healed)
        }
        row(nodes, "parted for 120 s: each half agrees after", parted, seeds: seeds, unit: "s")
        row(nodes, "parted for 120 s: once healed, all agree after", healed, seeds: seeds, unit: "s")
    }

    private static func impairments(_ nodes: Int, seeds: UInt64) {
        for impairment in ImpairmentExperiment.Impairment.allCases { impair(nodes, impairment, seeds: seeds) }
    }

    private static func crashes(_ nodes: Int, count: Int, silent: Bool, kind: String, seeds: UInt64) {
        var all = Numbers()
        var views = Numbers()
        var peak = Numbers()
        var wrong = 0
        for seed in 1...seeds {
            let outcome = CrashExperiment.run(nodeCount: nodes, crashes: count, silent: silent, seed: seed)
            all.add(outcome.all)
            views.add(Double(outcome.viewChanges))
            peak.add(Double(outcome.peakBytesPerSecond) / 1000)
            wrong += outcome.falseDeaths
        }
        row(nodes, "\(kind): all know", all, seeds: seeds, unit: "s")
        row(nodes, "\(kind): view changes", views, seeds: seeds, unit: "", decimals: 0)
        row(nodes, "\(kind): most sent in a second", peak, seeds: seeds, unit: "KB")
        if wrong > 0 { print("| \(nodes) | \(kind): healthy members evicted | \(wrong) | | \(seeds) |") }
    }

    private static func impair(_ nodes: Int, _ impairment: ImpairmentExperiment.Impairment, seeds: UInt64) {
        let seconds: Int64 = nodes >= 10_000 ? 30 : nodes >= 1_000 ? 60 : 120
        var sent = Numbers()
        var received = Numbers()
        var peak = Numbers()
        var healthy = 0
        var impaired = 0
        var views = 0
        for seed in 1...seeds {
            let outcome = ImpairmentExperiment.run(impairment, nodeCount: nodes, seconds: seconds, seed: seed)
            sent.add(outcome.meanSent / 1000)
            received.add(outcome.meanReceived / 1000)
            peak.add(Double(outcome.peakSent) / 1000)
            healthy += outcome.healthyEvicted
            for mistake in outcome.mistakes { print("seed \(seed), \(impairment.rawValue), \(mistake)") }
            impaired += outcome.impairedEvictions
            views = max(views, outcome.viewChanges)
        }
        let name = "impaired: \(impairment.rawValue)"
        print(
            "| \(nodes) | \(name): healthy evicted \(healthy), impaired \(impaired), most views \(views) "
                + "in \(seconds) s | | | \(seeds) |")
        row(nodes, "\(name): sent a second, mean", sent, seeds: seeds, unit: "KB")
        row(nodes, "\(name): received a second, mean", received, seeds: seeds, unit: "KB")
        row(nodes, "\(name): most sent in a second", peak, seeds: seeds, unit: "KB")
    }

    private static func bootstrap(_ nodes: Int, seeds: UInt64) {
        var times = Numbers()
        for seed in 1...seeds { times.add(JoinExperiment.bootstrap(nodeCount: nodes, seed: seed)) }
        row(nodes, "bootstrap: all know all", times, seeds: seeds, unit: "s")
    }

    private static func faults(_ bounds: [UInt64]) async {
        let first = bounds.first ?? 1
        let last = max(first, bounds.dropFirst().first ?? first)
        let reports =
            first == last
            ? [FaultRun.run(seed: first) { print($0) }] : await FaultRun.run(seeds: first...last, lanes: 2)
        var healing = Numbers()
        var failures = 0
        for report in reports {
            healing.add(Double(report.healing) / 1_000_000)
            guard !report.violations.isEmpty else { continue }
            failures += 1
            print("seed \(report.seed): \(report.violations.joined(separator: "; "))")
        }
        print(
            "\(last - first + 1) seeds, \(failures) with violations; agreement after healing: median "
                + "\(text(healing.quantile(0.5))) s, p99 \(text(healing.quantile(0.99))) s, "
                + "most \(text(healing.largest)) s")
        if failures > 0 { exit(1) }
    }
}
