import Testing

@testable import Membership

@Suite struct LeniencyTests {
    private let settings = MembershipSettings()

    @Test func refutationsCountForAWhileAndForOneGeneration() {
        var leniency = Leniency()
        let id = NodeID("node-1")
        func further(_ generation: UInt64 = 1, at second: Int) -> Int {
            leniency.furtherProbes(of: id, generation: generation, at: .zero + .seconds(second), settings: settings)
        }
        #expect(further(at: 0) == 0)
        for count in 1...5 {
            leniency.noteRefutation(of: id, generation: 1, at: .zero + .seconds(count), settings: settings)
            #expect(further(at: count) == min(count, settings.maximumFurtherProbes))
        }
        #expect(further(2, at: 6) == 0)
        #expect(further(at: 64) == settings.maximumFurtherProbes)
        #expect(further(at: 65) == 0)
        leniency.noteRefutation(of: id, generation: 1, at: .zero + .seconds(70), settings: settings)
        #expect(further(at: 70) == 1)
    }

    /// A member that refutes suspicions is then silent for good: how many probes of it fail until it is accused?
    @Test(arguments: [(0, 1), (1, 2), (2, 3), (3, 4), (9, 4)])
    func whoHasRefutedIsAccusedAfterMoreFailures(refutations: Int, failures: Int) {
        var node = TestNode()
        for incarnation in 0..<UInt32(refutations) {
            let accusations = [Accusation(accuser: NodeID("node-2"), isRefusal: false)]
            let suspicion = record("node-1", incarnation: incarnation, status: .suspect)
            _ = node.receive(news: [News(record: suspicion, accusations: accusations)], from: "node-2")
            _ = node.receive(news: [News(record: record("node-1", incarnation: incarnation + 1))], from: "node-2")
        }
        #expect(failuresUntilAccused("node-1", by: &node) == failures)
    }

    /// All others answer.
    private func failuresUntilAccused(_ name: String, by node: inout TestNode) -> Int? {
        var failures = 0
        var effects: [MembershipEffect] = []
        for _ in 0..<4000 {
            let pings = effects.compactMap { effect -> (NodeID, UInt32)? in
                guard case .send(let message, let peer, _) = effect, case .ping(let sequence) = message.body,
                    peer.name != name
                else { return nil }
                return (peer, sequence)
            }
            effects = pings.flatMap { node.receive(.ack(sequence: $0.1), from: $0.0.name) }
            effects += node.step(.wake, after: .milliseconds(5))
            for case .observed(let observation) in effects {
                if case .probeFailed = observation { failures += 1 }
                if case .accused = observation { return failures }
            }
        }
        return nil
    }
}
