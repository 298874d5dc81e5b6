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
        let count = max(SimulationEnvironment.number("SIMULATION_SEEDS") ?? Self.defaultSeedCount, 1)
        let reports = await FaultRun.run(seeds: 1...count, lanes: 2)
        for report in reports where !report.violations.isEmpty { expectClean(report) }
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
