import FuzzSupport
import Membership
import SeededRandom

/// Bytes of messages against the codec of the membership protocol, and what it takes against a member.
struct MessageFuzzer {
    /// The cluster that the member knows.
    static let memberCount = 12
    /// What one message may make a member send, in bytes, as a multiple of the largest that it sends by itself.
    private static let maximumAnswer = 4 * MembershipSettings().syncMessageBytes

    private(set) var accepted = 0
    private(set) var answers = 0
    private let member: Membership

    init() {
        var table = MemberTable()
        var records: [MemberRecord] = []
        for index in 0..<Self.memberCount {
            let address = NodeAddress(host: "10.0.0.\(index)", port: 7400)
            records.append(
                MemberRecord(
                    id: NodeID("node-\(index)"), generation: 1, incarnation: 0, status: .alive,
                    description: MemberDescription(role: index % 4 == 3 ? .agent : .silo, address: address)))
            table.set(.init(record: records[index], since: .zero))
        }
        var member = Membership(
            id: records[0].id, member: records[0], table: table, settings: MembershipSettings(), seeds: [])
        var random = SeededGenerator(seed: 1)
        var effects: [MembershipEffect] = []
        // Long enough to have probes under way, and a member that it suspects.
        member.step(.start, now: .zero, random: &random, effects: &effects)
        for tick in 1...30 {
            member.step(.wake, now: Moment(microseconds: Int64(tick) * 100_000), random: &random, effects: &effects)
        }
        self.member = member
    }

    mutating func run(_ random: inout SeededGenerator) throws {
        // A member costs ten times what the codec does.
        guard random.below(8) == 0 else {
            accepted += try message(&random) == nil ? 0 : 1
            return
        }
        var member = member
        var now = Moment(microseconds: 3_000_000)
        for _ in 0..<3 {
            guard let message = try message(&random) else { continue }
            accepted += 1
            now = now + .milliseconds(random.below(400))
            let sender = NodeID("node-\(1 + random.below(2 * Self.memberCount))")
            try tell(&member, .received(message, from: sender), at: now, &random)
        }
        try tell(&member, .wake, at: now + .seconds(random.below(5)), &random)
    }

    /// A message that the codec takes from bytes that were tampered with. It must be encodable again, and stand for no
    /// more than its bytes: numbers may be written longer than necessary, labels in another order; nothing else changes.
    private func message(_ random: inout SeededGenerator) throws -> Message? {
        var bytes = Samples.messages[random.below(Samples.messages.count)]
        if random.below(4) == 0 {
            bytes = random.bytes(upTo: 200)
            if !bytes.isEmpty { bytes[0] = MessageCodec.version }
            if bytes.count > 1 { bytes[1] = UInt8(1 + random.below(10)) }
        }
        for _ in 0..<random.below(4) { random.mutate(&bytes) }
        guard let message = try? MessageCodec.decode(bytes) else { return nil }
        let again = MessageCodec.encode(message)
        guard again.count <= bytes.count, (try? MessageCodec.decode(again)) == message else {
            throw FuzzFailure("\(bytes) was read as \(message), which is written as \(again)")
        }
        return message
    }

    private mutating func tell(
        _ member: inout Membership, _ event: MembershipEvent, at now: Moment, _ random: inout SeededGenerator
    ) throws {
        let before = member.table.count
        var effects: [MembershipEffect] = []
        member.step(event, now: now, random: &random, effects: &effects)
        var bytes = 0
        for case .send(let answer, _, _) in effects {
            answers += 1
            bytes += MessageCodec.encode(answer).count
        }
        guard bytes <= Self.maximumAnswer, member.queuedNews <= member.settings.maximumNews else {
            throw FuzzFailure("\(event) made the member send \(bytes) bytes and keep \(member.queuedNews) news")
        }
        guard case .received(let message, _) = event else { return }
        guard member.table.count <= before + message.recordCount else {
            throw FuzzFailure("\(message) made \(member.table.count - before) members")
        }
    }
}

extension Message {
    fileprivate var recordCount: Int {
        switch body {
        case .syncExchange(_, let records), .syncReply(_, let records): news.count + records.count
        default: news.count
        }
    }
}
