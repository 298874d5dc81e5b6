import Foundation
import Testing

extension ClusterTests {
    /// More than the cluster can do: memory stays bounded, what is refused is told so, what is accepted completes.
    @Suite(.serialized)
    struct BackPressureTests {
        /// Peak resident memory that no process may exceed, in MB.
        static let memoryLimit = 250

        @Test(.timeLimit(.minutes(5)))
        func aBurstOfTwentyThousandTriggersLosesNothing() async throws {
            try await withCluster { cluster in
                let load = Load()
                await load.burst(of: 20_000, callers: 256, on: cluster)
                let account = load.soFar
                print("accepted \(account.accepted.count); refused: \(account.refusals)")
                #expect(account.accepted.count > 1000)
                #expect(account.refusals.keys.allSatisfy { $0 == "HTTP 503 with Retry-After" }, "\(account.refusals)")
                for identifier in account.accepted.suffix(200) {
                    let outcome = try await cluster.outcome(of: identifier, within: .seconds(120))
                    #expect(outcome.status == "completed")
                }
                try await eventually("completion of \(account.accepted.count) workflows", within: .seconds(120)) {
                    let report = try await cluster.ledger(accepted: account.accepted)
                    return report.violations.isEmpty ? nil : "\(report.violationCount): \(report.violations.prefix(3))"
                }
                for (name, pid) in try cluster.pids() {
                    let peak = try peakMemory(of: pid)
                    print("\(name): peak \(peak) MB resident")
                    #expect(peak < Self.memoryLimit, "\(name) used \(peak) MB")
                }
            }
        }

        /// The highest resident memory of a process so far, in MB.
        private func peakMemory(of pid: Int32) throws -> Int {
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            let kilobytes = line.flatMap { Int($0.split(whereSeparator: { !$0.isNumber }).first ?? "") }
            guard let kilobytes else { throw TestFailure("no VmHWM for pid \(pid)") }
            return kilobytes / 1024
        }
    }
}
