import Foundation
import Testing

extension ClusterTests {
    /// What was accepted survives: a stop and a new start, and the SIGKILL of any process at any time.
    @Suite(.serialized)
    struct RestartTests {
        @Test(.timeLimit(.minutes(4)))
        func aClusterGoesOnWhereItStopped() async throws {
            let folder = try Files.temporaryFolder()
            let first = try await Cluster(folder: folder)
            let finished = try await first.accepted("Finished before the stop.")
            let before = try await first.outcome(of: finished)
            #expect(before.status == "completed")
            let load = Load()
            await load.burst(of: 300, callers: 32, on: first)
            try await first.stop()

            let second = try await Cluster(folder: folder)
            let after = try await second.outcome(of: finished)
            #expect(after.status == "completed")
            #expect(after.result?.output == before.result?.output)
            let accepted = load.soFar.accepted
            #expect(accepted.count > 0, "\(load.soFar.refusals)")
            for identifier in accepted {
                #expect(try await second.outcome(of: identifier).status == "completed")
            }
            let report = try await second.ledger(accepted: accepted + [finished])
            #expect(report.violations.isEmpty)
            try await second.stop()
            try FileManager.default.removeItem(at: folder)
        }

        /// Three rounds for each process, in turn, under fifty triggers a second.
        @Test(.timeLimit(.minutes(3)))
        func everyAcceptedTriggerCompletesExactlyOnceThoughEachProcessIsKilled() async throws {
            try await withCluster { cluster in
                let load = Load()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await load.run(on: cluster, every: .milliseconds(20)) }
                    let names = try cluster.pids().keys.sorted()
                    try #require(names.count == 8, "broker, 3 silos, 2 agents and 2 gateways, not \(names)")
                    for round in 0..<24 {
                        // The load goes on for a moment between two kills, so that each meets work in flight.
                        try await Task.sleep(for: .seconds(2))
                        try await cluster.killAndAwaitRestart(names[round % names.count])
                    }
                    try await Task.sleep(for: .seconds(2))
                    group.cancelAll()
                }
                let account = load.soFar
                print("accepted \(account.accepted.count); refused: \(account.refusals)")
                try #require(account.accepted.count > 1000, "\(account.refusals)")
                for identifier in account.accepted {
                    let outcome = try await cluster.outcome(of: identifier)
                    #expect(outcome.status == "completed", "\(identifier): \(outcome)")
                }
                let report = try await cluster.ledger(accepted: account.accepted)
                #expect(report.violations.isEmpty)
                #expect(report.deadLetters.isEmpty)
            }
        }
    }
}
