import OwnershipSimulation

// Runs many seeds of the ownership simulation, or prints what happens in one.
//
//     swift run -c release ownership-sim 1 10000
//     swift run ownership-sim 17
let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
guard let first = arguments.first else {
    print("usage: ownership-sim SEED | FIRST LAST")
    throw CancellationError()
}
if arguments.count == 1 {
    print(try await onThread { try OwnershipRun.run(seed: first) { print($0) } })
} else {
    let start = ContinuousClock.now
    let reports = try await OwnershipRun.run(seeds: first...max(first, arguments[arguments.startIndex + 1]), lanes: 2)
    for report in reports where !report.violations.isEmpty {
        print("seed \(report.seed):", report.violations.joined(separator: "\n    "))
    }
    print(OwnershipRun.Report.summary(of: reports))
    print("\(reports.count { !$0.violations.isEmpty }) runs with violations, \(ContinuousClock.now - start)")
}
