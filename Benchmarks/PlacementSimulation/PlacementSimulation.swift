import Placement

/// Prints how evenly partitions are spread and how many move, over random views.
///
///     placement-sim                the whole table (a minute or two)
///     placement-sim 4096 100       for so many partitions and silos
///     placement-sim joins 4096     the worst join from 3 to 300 silos, for so many partitions
///     placement-sim time           how long a placement takes
@main
struct PlacementSimulation {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let numbers = arguments.compactMap { Int32($0) }.filter { $0 > 0 }
        switch (arguments.first, numbers.count) {
        case (nil, _):
            table([(16, 3), (64, 5), (1024, 10), (1024, 100), (4096, 100), (4096, 300), (4096, 1000), (100, 300)])
            joins([64, 1024, 4096])
            times()
        case ("joins", 1): joins([numbers[0]])
        case ("time", _): times()
        case (_, 2): table([(numbers[0], Int(numbers[1]))])
        default: print("usage: placement-sim [PARTITIONS SILOS | joins PARTITIONS | time]")
        }
    }

    private static func table(_ sizes: [(Int32, Int)]) {
        print(
            "| partitions | silos | weights | rule | max load | moved on join | needless on leave | standby took over "
                + "| max standby load |")
        print("|---|---|---|---|---|---|---|---|---|")
        for (partitions, silos) in sizes {
            for weights in Weights.allCases {
                row(partitions, silos, weights, slack: 0.25, rule: "caps, slack 0.25")
                row(partitions, silos, weights, slack: 100, rule: "plain rendezvous")
            }
        }
    }

    private static func row(_ partitions: Int32, _ silos: Int, _ weights: Weights, slack: Double, rule: String) {
        var total = Churn()
        for seed in 1...(silos > 300 ? 2 : silos > 20 ? 5 : 100) {
            total.add(
                Churn(
                    partitionCount: partitions, siloCount: silos, weights: weights, slack: slack, seed: UInt64(seed)))
        }
        let columns = [
            "\(partitions)", "\(silos)", weights.rawValue, rule, text(total.worstLoad), text(total.join),
            text(total.needlessOnLeave), text(100 * total.standbyHits, decimals: 1) + " %", text(total.standbyLoad),
        ]
        print("| " + columns.joined(separator: " | ") + " |")
    }

    private static func joins(_ partitionCounts: [Int32]) {
        print("\n| partitions | weights | worst join ÷ optimum: mean of 5 clusters | largest | mean of all joins |")
        print("|---|---|---|---|---|")
        for partitions in partitionCounts {
            for weights in Weights.allCases {
                let joins = WorstJoin(partitionCount: partitions, weights: weights, seeds: 1...5)
                let columns = [text(joins.typical), text(joins.largest), text(joins.mean)].joined(separator: " | ")
                print("| \(partitions) | \(weights.rawValue) | \(columns) |")
            }
        }
    }

    private static func times() {
        print("\n| partitions | silos | weights | time of a placement, least of 10 |")
        print("|---|---|---|---|")
        for (partitions, silos) in [(16, 3), (1024, 10), (4096, 100), (4096, 1000)] as [(Int32, Int)] {
            for weights in Weights.allCases {
                let candidates = View.silos(silos, weights, seed: 1)
                let repetitions = partitions < 100 ? 1000 : 1
                let least = (0..<10).map { _ in
                    ContinuousClock().measure {
                        for _ in 0..<repetitions { _ = Placement(partitionCount: partitions, candidates: candidates) }
                    } / repetitions
                }.min()!
                print(
                    "| \(partitions) | \(silos) | \(weights.rawValue) | \(text(least / .microseconds(1), decimals: 0)) µs |"
                )
            }
        }
    }

    static func text(_ value: Double, decimals: Int = 2) -> String {
        var scale = 1
        for _ in 0..<decimals { scale *= 10 }
        let rounded = Int(value * Double(scale) + 0.5)
        guard decimals > 0 else { return "\(rounded)" }
        let fraction = String(rounded % scale)
        return "\(rounded / scale)." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }
}
