import Membership
import Testing

/// Two members that synchronise, message by message.
private struct Pair {
    var nodes: [String: TestNode]
    /// Of the largest message, in bytes.
    var largest = 0
    var exchanges = 0

    init(_ one: [MemberRecord], _ other: [MemberRecord]) {
        nodes = [
            "node-0": TestNode("node-0", knowing: one + [record("node-1")]),
            "node-1": TestNode("node-1", knowing: other + [record("node-0")]),
        ]
    }

    func count(_ name: String) -> Int { nodes[name]!.membership.table.count }

    /// The node notices that its table differs from the other's, and does something about it.
    mutating func synchronize(_ name: String, with other: String) {
        let theirs = nodes[other]!.membership.table.digest
        nodes[name]!.now = nodes[name]!.now + .seconds(2)
        var queue: [(Message, from: String, to: String)] = []
        for sequence in UInt32(1)...4 {
            let answers = nodes[name]!.receive(.ping(sequence: sequence), from: other, digest: theirs)
            queue += answers.sent(to: other).map { ($0, from: name, to: other) }
        }
        while !queue.isEmpty {
            let (message, sender, receiver) = queue.removeFirst()
            largest = max(largest, MessageCodec.encode(message).count)
            if case .syncExchange = message.body { exchanges += 1 }
            let answers = nodes[receiver]!.step(.received(message, from: NodeID(sender)))
            queue += answers.sent(to: sender).map { ($0, from: receiver, to: sender) }
        }
    }
}

@Suite struct SynchronizationTests {
    /// Members whose records take about eight kilobytes each, all in one bucket: their names were chosen to meet there.
    private func crowd(_ prefix: String, _ count: Int) -> [MemberRecord] {
        let labels = (0..<16).map {
            MemberDescription.Label(name: "label-\($0)", value: String(repeating: "x", count: 255))
        }
        let wanted = MemberTable.bucket(of: NodeID("anybody"))
        let names = (0...).lazy.map { "\(prefix)-\($0)" }.filter { MemberTable.bucket(of: NodeID($0)) == wanted }
        return names.prefix(count).map { record($0, labels: labels) }
    }

    @Test func membersThatDifferAreExchangedInBothDirections() {
        var pair = Pair((2...9).map { record("node-\($0)") }, (10...19).map { record("node-\($0)") })
        pair.synchronize("node-1", with: "node-0")
        #expect(pair.count("node-0") == 20 && pair.count("node-1") == 20)
    }

    @Test func aBucketThatIsTooLargeForOneMessageIsExchangedInSeveral() {
        var pair = Pair(crowd("one", 80), crowd("other", 80))
        // Each message holds a few of the records, each time others.
        var rounds = 0
        while rounds < 30, pair.count("node-0") + pair.count("node-1") < 324 {
            rounds += 1
            pair.synchronize("node-1", with: "node-0")
            pair.synchronize("node-0", with: "node-1")
        }
        #expect(pair.count("node-0") == 162 && pair.count("node-1") == 162)
        #expect(pair.largest <= 80_000, "a message of \(pair.largest) bytes")
        #expect(pair.exchanges > 10 && pair.exchanges < 1000)
    }

    /// A peer asks for everything at once: what it gets is still one message.
    @Test func thePartnerDoesNotChooseTheSizeOfAReply() {
        var node = TestNode("node-0", knowing: crowd("one", 60))
        let answers = node.receive(.syncExchange(buckets: Array(0...255), records: []), from: "node-9")
        let sizes = answers.sent(to: "node-9").map { MessageCodec.encode($0).count }
        #expect(sizes.count == 1 && sizes[0] > 50_000 && sizes[0] < 80_000)
    }
}
