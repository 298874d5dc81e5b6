import CoreMetrics
import Membership
import MetricsTestKit
import OrchestraCore
import Testing
import Transport

@testable import MembershipNetwork

@Suite(.serialized, .timeLimit(.minutes(2)))
struct MembershipMetricsTests {
    private let factory = TestMetrics()

    private func total(_ name: String, _ dimensions: [(String, String)] = []) throws -> Int64 {
        try factory.expectCounter("orchestra_membership_\(name)_total", dimensions).totalValue
    }

    private func value(_ name: String, _ dimensions: [(String, String)] = []) throws -> Double? {
        try factory.expectGauge("orchestra_membership_\(name)", dimensions).lastValue
    }

    @Test func whatTheProtocolObservesIsCounted() throws {
        let metrics = MembershipMetrics(factory: factory)
        let peer = NodeID("node-1")
        metrics.observed(.probeFailed(peer))
        for _ in 0..<2 { metrics.observed(.accused(peer, refused: false)) }
        for _ in 0..<3 { metrics.observed(.refuted(incarnation: 1)) }
        for _ in 0..<4 { metrics.observed(.declaredDead(peer, witnessed: true)) }
        for _ in 0..<5 { metrics.observed(.stalled(.seconds(1))) }
        for _ in 0..<6 { metrics.receivedMalformed() }
        metrics.observed(.deaf)
        let names = ["probes_failed", "accusations", "refutations", "deaths_declared", "pauses", "malformed_messages"]
        #expect(try names.map { try total($0) } == [1, 2, 3, 4, 5, 6])
    }

    @Test func pingsAreProbesAndAllMessagesAreBytes() throws {
        let metrics = MembershipMetrics(factory: factory)
        let ping = Message(generation: 1, digest: 0, news: [], body: .ping(sequence: 1))
        metrics.sent(ping, bytes: 30)
        metrics.sent(Message(generation: 1, digest: 0, news: [], body: .gossip), bytes: 12)
        metrics.received(bytes: 7)
        #expect(try total("probes") == 1)
        #expect(try total("bytes", [("direction", "sent")]) == 42)
        #expect(try total("bytes", [("direction", "received")]) == 7)
    }

    /// A node in the eyes of an operator: whom it knows, and that it doubts nobody, itself included.
    @Test func aRunningNodeSaysWhomItKnowsAndHowItIs() async throws {
        let first = try Node("node-1", metrics: factory)
        let seed = try await first.address()
        let others = [try Node("node-2", seeds: [seed]), try Node("node-3", seeds: [seed])]
        for node in others { try await node.membership.waitUntilJoined() }
        func members(_ status: MemberStatus) -> Double? { try? value("members", [("status", "\(status)")]) }
        try await eventually("three members alive") { members(.alive) == 3 }
        #expect(members(.suspect) == 0 && members(.dead) == 0 && members(.left) == 0)
        #expect(try value("local_health") == 0 && value("suspicions") == 0 && value("dropped_messages") == 0)
        #expect(try value("queued_news") != nil)
        try await eventually("probes and bytes") {
            try total("probes") > 0 && total("bytes", [("direction", "received")]) > 100
        }
        try await others[1].stop()
        try await eventually("one has left") { members(.left) == 1 && members(.alive) == 2 }
        await others[0].kill()
        try await eventually("one is dead") { members(.dead) == 1 && members(.alive) == 1 }
        #expect(try total("accusations") > 0 && total("deaths_declared") > 0)
        try await first.stop()
    }
}
