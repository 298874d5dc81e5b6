import OwnershipSimulation
import Testing

/// Thousands of seeded runs of a cluster of silos whose owners change all the time; see ``OwnershipRun``.
///
/// - `OWNERSHIP_SEEDS=n` runs so many seeds instead of the default.
/// - `OWNERSHIP_SEED=n` runs that seed alone and prints what happens.
@Suite struct OwnershipSimulationTests {
    static let defaultSeedCount: UInt64 = 200

    @Test func silosUnderFaultsCommitOnceAndAnswerWithTheTruth() async throws {
        if let seed = SimulationEnvironment.number("OWNERSHIP_SEED") {
            let report = try await onThread { try OwnershipRun.run(seed: seed) { print($0) } }
            print(report)
            return expectClean(report)
        }
        let first = SimulationEnvironment.number("OWNERSHIP_FIRST") ?? 1
        let count = SimulationEnvironment.number("OWNERSHIP_SEEDS") ?? Self.defaultSeedCount
        let reports = try await OwnershipRun.run(seeds: first...(first + count - 1), lanes: 2)
        for report in reports where !report.violations.isEmpty { expectClean(report) }
        print(OwnershipRun.Report.summary(of: reports))
    }

    /// Also shows that nothing in a silo depends on anything but its clock, its log, its peers and the seed.
    @Test func theSameSeedGivesTheSameRun() async throws {
        for seed: UInt64 in [3, 77] {
            let hashes = try await onThread { try (0..<2).map { _ in try OwnershipRun.run(seed: seed).traceHash } }
            #expect(hashes[0] == hashes[1], "seed \(seed)")
        }
    }

    private func expectClean(_ report: OwnershipRun.Report) {
        let violations = report.violations.joined(separator: "\n")
        #expect(
            report.violations.isEmpty,
            """
            seed \(report.seed) at commit \(SimulationEnvironment.commit): \(violations)
            replay it with: OWNERSHIP_SEED=\(report.seed) swift test --filter OwnershipSimulationTests
            """)
    }
}
