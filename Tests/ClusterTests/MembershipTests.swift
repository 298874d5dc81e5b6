import Foundation
import Testing

extension ClusterTests {
    /// Five processes find each other, and out who of them fails.
    @Suite(.serialized)
    struct MembershipTests {
        /// Twenty rounds with `MEMBERSHIP_ROUNDS=20`.
        private static let rounds = ProcessInfo.processInfo.environment["MEMBERSHIP_ROUNDS"].flatMap { Int($0) } ?? 5

        /// Stops members one after the other by a signal, and measures when all others know.
        private func detectionTimes(of signal: Int32, in cluster: MemberCluster) async throws -> [Duration] {
            var times: [Duration] = []
            for round in 0..<Self.rounds {
                let victim = cluster.members[round % 5]
                victim.send(signal)
                times.append(try await cluster.timeUntilDead(round % 5))
                victim.send(SIGKILL)
                _ = try await victim.waitForEnd()
                try await cluster.restart(round % 5)
                try await cluster.waitUntilAllAlive()
            }
            return times.sorted()
        }

        private func report(_ name: String, _ times: [Duration]) -> (median: Duration, worst: Duration) {
            let median = times[times.count / 2]
            let worst = times[times.count - 1]
            print("\(name): all survivors agree after \(median) (median), \(worst) (worst of \(times.count))")
            return (median, worst)
        }

        @Test(.timeLimit(.minutes(5)))
        func survivorsAgreeOnTheDeathOfAKilledMember() async throws {
            try await withMembers { cluster in
                let (median, worst) = report("SIGKILL", try await detectionTimes(of: SIGKILL, in: cluster))
                #expect(median <= .seconds(1))
                #expect(worst <= .seconds(4))
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func survivorsAgreeOnTheDeathOfAFrozenMember() async throws {
            try await withMembers { cluster in
                let (median, worst) = report("SIGSTOP", try await detectionTimes(of: SIGSTOP, in: cluster))
                #expect(median <= .milliseconds(3500))
                #expect(worst <= .seconds(8))
            }
        }

        /// The pause is shorter than any suspicion: the member refutes it.
        @Test(.timeLimit(.minutes(2)))
        func aMemberFrozenForTwoSecondsIsNotEvicted() async throws {
            try await withMembers { cluster in
                for index in [0, 3] {
                    let before = await cluster.members[index].members()?["member-\(index + 1)"]?.generation
                    cluster.members[index].send(SIGSTOP)
                    try await Task.sleep(for: .seconds(2))
                    cluster.members[index].send(SIGCONT)
                    try await cluster.waitUntilAllAlive()
                    let after = await cluster.members[index].members()?["member-\(index + 1)"]?.generation
                    #expect(before == after && before != nil)
                }
                for log in cluster.logs { #expect(!log.contains("member is dead"), "\(log)") }
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aRollingRestartCostsNobodyItsLife() async throws {
            try await withMembers { cluster in
                for index in cluster.members.indices {
                    cluster.members[index].send(SIGTERM)
                    let status = try await cluster.members[index].waitForEnd()
                    #expect(status == 0)
                    try await cluster.restart(index)
                    try await cluster.waitUntilAllAlive()
                }
                for log in cluster.logs { #expect(!log.contains("member is dead"), "\(log)") }
                #expect(cluster.logs.count { $0.contains("member left") } >= 5)
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: [("wrongSecret", "orchestra"), ("wrongCluster", "another")])
        func aStrangerIsRefusedAndBothSidesSaySo(reason: String, cluster name: String) async throws {
            try await withMembers { cluster in
                let stranger = try MemberProcess(
                    "stranger", seeds: [cluster.seeds[0]],
                    secret: reason == "wrongSecret" ? "a secret of somebody else" : cluster.secret, cluster: name,
                    folder: cluster.folder, http: cluster.http)
                defer { stranger.send(SIGKILL) }
                try await eventually("\(reason) in both logs", within: .seconds(30)) {
                    guard stranger.log.contains(reason) else { return "the stranger: \(stranger.log.suffix(1000))" }
                    return cluster.members[0].log.contains(reason)
                        ? nil : cluster.members[0].log.suffix(1000).description
                }
                try await cluster.waitUntilAllAlive()
                for member in cluster.members {
                    let known = try #require(await member.members())
                    #expect(known["stranger"] == nil)
                }
            }
        }
    }
}
