import Foundation
import OwnershipSimulation

// Runs many seeds of the ownership simulation, or prints what happens in one. Exit status: 0 no violation, 1 violations,
// 2 no seed.
//
//     make ownership SEEDS='1 10000'
//     make ownership SEED=17
let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
guard let first = arguments.first else {
    print("usage: ownership-sim SEED | FIRST LAST")
    exit(2)
}
let failures: Int
if arguments.count == 1 {
    let report = try await onThread { try OwnershipRun.run(seed: first) { print($0) } }
    print(report)
    failures = report.violations.isEmpty ? 0 : 1
} else {
    let start = ContinuousClock.now
    let reports = try await OwnershipRun.run(seeds: first...max(first, arguments[arguments.startIndex + 1]), lanes: 2)
    for report in reports where !report.violations.isEmpty {
        print("seed \(report.seed):", report.violations.joined(separator: "\n    "))
    }
    print(OwnershipRun.Report.summary(of: reports))
    failures = reports.count { !$0.violations.isEmpty }
    print("\(failures) runs with violations, \(ContinuousClock.now - start)")
}
exit(failures == 0 ? 0 : 1)
