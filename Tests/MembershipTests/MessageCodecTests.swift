import SeededRandom
import Testing

@testable import Membership

/// Random and mutated bytes are the business of `Tests/Fuzz/PeerFuzz`.
@Suite struct MessageCodecTests {
    static func sample(_ random: inout SeededGenerator) -> Message {
        func description() -> MemberDescription {
            MemberDescription(
                role: MemberRole.allCases[random.below(3)],
                address: NodeAddress(host: "10.0.0.\(random.below(256))", port: UInt16(random.below(65_536))),
                protocolVersions: 1...UInt8(1 + random.below(9)), weight: UInt16(random.below(1000)),
                load: UInt8(random.below(256)),
                labels: (0..<random.below(3)).map { .init(name: "label \($0)", value: "grün \(random.below(99))") })
        }
        func record() -> MemberRecord {
            let status = MemberStatus.allCases[random.below(4)]
            return MemberRecord(
                id: NodeID("node-\(random.below(1000))"), generation: random.next() >> UInt64(2 + random.below(62)),
                incarnation: UInt32(random.below(100_000)), status: status,
                description: status == .alive || random.below(2) == 0 ? description() : nil)
        }
        func news() -> News {
            let accusers = (0..<random.below(4)).map { "node-\($0)" }
            return News(
                record: record(),
                accusations: accusers.map { Accusation(accuser: NodeID($0), isRefusal: random.below(2) == 0) })
        }
        let sequence = UInt32(truncatingIfNeeded: random.next())
        let records = (0..<random.below(5)).map { _ in record() }
        let buckets = (0..<random.below(9)).map { UInt8($0 * 20) }
        let digests = (0..<MemberTable.bucketCount).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        let bodies: [Message.Body] = [
            .ping(sequence: sequence), .ack(sequence: sequence),
            .pingRequest(sequence: sequence, subject: NodeID("node-\(sequence)")),
            .pingReport(sequence: sequence, answered: random.below(2) == 0), .gossip, .syncOffer(count: sequence),
            .syncDigests(count: sequence, digests: random.below(2) == 0 ? [] : digests),
            .syncExchange(buckets: buckets, records: records), .syncReply(buckets: buckets, records: records),
            .refused(generation: random.next() >> 2),
        ]
        return Message(
            generation: random.next() >> 2, digest: random.next(), news: (0..<random.below(6)).map { _ in news() },
            body: bodies[random.below(bodies.count)])
    }

    @Test func everyMessageSurvivesItsEncoding() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            let message = Self.sample(&random)
            let bytes = MessageCodec.encode(message)
            let decoded = try MessageCodec.decode(bytes)
            if decoded != message { Issue.record("\(message) became \(decoded)") }
            let news = message.news.reduce(0) { $0 + MessageCodec.size(of: $1) }
            if news > bytes.count { Issue.record("\(news) bytes of news in \(bytes.count)") }
        }
    }

    @Test func cutAndLengthenedMessagesAreRefused() {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<100 {
            let bytes = MessageCodec.encode(Self.sample(&random))
            var accepted = 0
            for length in bytes.indices where (try? MessageCodec.decode(Array(bytes.prefix(length)))) != nil {
                accepted += 1
            }
            #expect(accepted == 0)
            #expect(throws: CodecError.self) { try MessageCodec.decode(bytes + [0]) }
        }
    }

    @Test func otherVersionsAndClaimsBeyondTheBytesAreRefused() {
        var bytes = MessageCodec.encode(Message(generation: 1, digest: 2, news: [], body: .gossip))
        bytes[0] = 2
        #expect(kind(of: bytes) == .version)
        // News and record counts of four billion in a few bytes.
        let header: [UInt8] = [1, 5, 1] + Array(repeating: 0, count: 8)
        #expect(kind(of: header + [0xff, 0xff, 0xff, 0xff, 0x0f]) == .tooLarge)
        #expect(kind(of: header + [0xff, 0x1f]) == .truncated)
        let exchange: [UInt8] = [1, 8, 1] + Array(repeating: 0, count: 8) + [0, 0]
        #expect(kind(of: exchange + [0xff, 0xff, 0x03]) == .truncated)
        #expect(kind(of: Array(repeating: 0, count: MessageCodec.maximumLength + 1)) == .tooLarge)
        #expect(kind(of: []) == .truncated)
    }

    @Test func generationsThatCouldNotBeRaisedAreRefused() {
        let highest = MessageCodec.maximumGeneration
        for (generation, expected) in [(highest, nil), (highest + 1, CodecError.Kind.tooLarge), (.max, .tooLarge)] {
            let header = Message(generation: generation, digest: 0, news: [], body: .gossip)
            #expect(kind(of: MessageCodec.encode(header)) == expected)
            let refusal = Message(generation: 1, digest: 0, news: [], body: .refused(generation: generation))
            #expect(kind(of: MessageCodec.encode(refusal)) == expected)
            let news = [News(record: brief("node-1", generation: generation, status: .dead))]
            let told = Message(generation: 1, digest: 0, news: news, body: .gossip)
            #expect(kind(of: MessageCodec.encode(told)) == expected)
        }
    }

    private func kind(of bytes: [UInt8]) -> CodecError.Kind? {
        do throws(CodecError) {
            _ = try MessageCodec.decode(bytes)
            return nil
        } catch {
            return error.kind
        }
    }

    /// What a hostile but authenticated peer may say: no message may trap the protocol or make it grow without bound.
    @Test func noMessageTrapsTheProtocol() {
        var random = SeededGenerator(seed: 8)
        var node = TestNode()
        for round in 0..<1000 {
            let message = Self.sample(&random)
            _ = node.step(.received(message, from: NodeID("node-\(random.below(1000))")), after: .milliseconds(1))
            if round % 500 == 0, node.membership.table.count > 1001 {
                Issue.record("\(node.membership.table.count) members of 1000 names")
            }
        }
        #expect(node.membership.queuedNews <= MembershipSettings().maximumNews)
    }
}
