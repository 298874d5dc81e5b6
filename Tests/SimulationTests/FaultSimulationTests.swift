import Membership
import Simulation
import Testing

/// Seeded runs of a small cluster under random faults; see ``FaultRun`` and ``InvariantChecker``.
///
/// - `SIMULATION_SEEDS=n` runs so many seeds instead of the default.
/// - `SIMULATION_SEED=n` runs that seed alone and prints what happens.
@Suite struct FaultSimulationTests {
    /// What a debug build manages in a few seconds; `make test` runs 5,000 in a release build of `membership-sim`.
    static let defaultSeedCount: UInt64 = 200

    @Test func clustersUnderFaultsKeepTheirInvariantsAndAgreeAfterHealing() async {
        if let seed = SimulationEnvironment.number("SIMULATION_SEED") {
            let report = FaultRun.run(seed: seed) { print($0) }
            print("seed \(seed): \(report.steps) steps, trace hash \(report.traceHash)")
            return expectClean(report)
        }
        let count = SimulationEnvironment.number("SIMULATION_SEEDS") ?? Self.defaultSeedCount
        let lanes: UInt64 = 2
        let reports = await withTaskGroup(of: [FaultRun.Report].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    stride(from: 1 + lane, through: count, by: Int(lanes)).map { FaultRun.run(seed: $0) }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for report in reports.sorted(by: { $0.seed < $1.seed }) where !report.violations.isEmpty { expectClean(report) }
        #expect(reports.count == Int(count))
        // The faults must bite, or the runs prove nothing.
        #expect(reports.contains { $0.deaths > 0 })
        #expect(reports.contains { $0.refutations > 0 })
        #expect(count < 200 || reports.contains { $0.forgettings > 0 })
    }

    /// Invariant 10.
    @Test func theSameSeedGivesTheSameTrace() {
        for seed: UInt64 in [3, 77, 1024] {
            #expect(FaultRun.run(seed: seed).traceHash == FaultRun.run(seed: seed).traceHash)
        }
        #expect(FaultRun.run(seed: 3).traceHash != FaultRun.run(seed: 4).traceHash)
    }

    private func expectClean(_ report: FaultRun.Report) {
        let violations = report.violations.joined(separator: "\n")
        #expect(
            report.violations.isEmpty,
            """
            seed \(report.seed) at commit \(SimulationEnvironment.commit): \(violations)
            replay it with: make sim SEED=\(report.seed)
            """)
    }
}
