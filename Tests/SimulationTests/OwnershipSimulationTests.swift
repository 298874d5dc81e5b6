import OwnershipSimulation
import Testing

/// Seeded runs of clusters of real silos whose partitions change owners all the time; see ``OwnershipRun`` and
/// docs/OWNERSHIP.md.
///
/// - `OWNERSHIP_SEEDS=n` runs so many seeds instead of the default, from `OWNERSHIP_FIRST` on.
/// - `OWNERSHIP_SEED=n` runs that seed alone and prints what happens, as `swift run ownership-sim n` does.
@Suite struct OwnershipSimulationTests {
    /// What a debug build manages in half a minute; `make test` runs 2,000 in a release build of `ownership-sim`.
    static let defaultSeedCount: UInt64 = 50

    @Test func silosUnderFaultsCommitOnceAndAnswerTheTruth() async throws {
        if let seed = SimulationEnvironment.number("OWNERSHIP_SEED") {
            let report = try await onThread { try OwnershipRun.run(seed: seed) { print($0) } }
            print(report)
            return expectClean(report)
        }
        let first = SimulationEnvironment.number("OWNERSHIP_FIRST") ?? 1
        let count = max(SimulationEnvironment.number("OWNERSHIP_SEEDS") ?? Self.defaultSeedCount, 1)
        let reports = try await OwnershipRun.run(seeds: first...(first + count - 1), lanes: 2)
        print(OwnershipRun.Report.summary(of: reports))
        for report in reports where !report.violations.isEmpty { expectClean(report) }
        #expect(reports.count == Int(count))
        // The faults must bite, or the runs prove nothing.
        #expect(reports.contains { $0.changesOfOwner > Int($0.partitionCount) })
        #expect(reports.contains { $0.initializations > $0.siloCount })
        #expect(reports.allSatisfy { $0.operations > 0 && $0.commits > 0 })
    }

    /// Also shows that nothing in a silo depends on anything but its clock, its log, its peers and the seed.
    @Test func theSameSeedGivesTheSameRun() async throws {
        for seed: UInt64 in 1...4 {
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
            replay it with: swift run ownership-sim \(report.seed)
            """)
    }
}
