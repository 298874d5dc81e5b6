import Membership
import SeededRandom

/// A node under test, driven by hand.
struct TestNode {
    var membership: Membership
    var random = SeededGenerator(seed: 1)
    var now = Moment.zero

    /// A member of a cluster in which it and `others` silos already know each other.
    init(others: Int = 4, settings: MembershipSettings = MembershipSettings()) {
        var table = MemberTable()
        let own = record("node-0")
        for index in 0...others { table.set(.init(record: record("node-\(index)"), since: .zero)) }
        membership = Membership(id: own.id, member: own, table: table, settings: settings, seeds: [])
        _ = step(.start)
    }

    /// A member that knows these others.
    init(_ name: String, knowing others: [MemberRecord]) {
        var table = MemberTable()
        let own = record(name)
        for known in others + [own] { table.set(.init(record: known, since: .zero)) }
        membership = Membership(id: own.id, member: own, table: table, settings: MembershipSettings(), seeds: [])
        _ = step(.start)
    }

    mutating func step(_ event: MembershipEvent, after time: Duration = .zero) -> [MembershipEffect] {
        now = now + time
        var effects: [MembershipEffect] = []
        membership.step(event, now: now, random: &random, effects: &effects)
        return effects
    }

    mutating func receive(
        _ body: Message.Body = .gossip, news: [News] = [], from sender: String, generation: UInt64 = 1,
        digest: UInt64? = nil
    ) -> [MembershipEffect] {
        let message = Message(
            generation: generation, digest: digest ?? membership.table.digest, news: news, body: body)
        return step(.received(message, from: NodeID(sender)))
    }

    /// Wakes it as often as it asks, until so much time has passed.
    mutating func run(for time: Duration) -> [MembershipEffect] {
        let end = now + time
        var all: [MembershipEffect] = []
        while now < end {
            let effects = step(.wake, after: min(.milliseconds(5), end - now))
            all += effects
        }
        return all
    }

    func status(_ name: String) -> MemberStatus? { membership.table[NodeID(name)]?.record.status }
}

func record(
    _ name: String, generation: UInt64 = 1, incarnation: UInt32 = 0, status: MemberStatus = .alive,
    role: MemberRole = .silo, labels: [MemberDescription.Label] = []
) -> MemberRecord {
    let description = MemberDescription(
        role: role, address: NodeAddress(host: name, port: 7400), labels: labels)
    return MemberRecord(
        id: NodeID(name), generation: generation, incarnation: incarnation, status: status, description: description)
}

func brief(_ name: String, generation: UInt64 = 1, incarnation: UInt32 = 0, status: MemberStatus) -> MemberRecord {
    MemberRecord(
        id: NodeID(name), generation: generation, incarnation: incarnation, status: status, description: nil)
}

extension [MembershipEffect] {
    func sent(to peer: String) -> [Message] {
        compactMap { effect in
            if case .send(let message, let to, _) = effect, to.name == peer { message } else { nil }
        }
    }

    var observations: [MembershipObservation] {
        compactMap { effect in if case .observed(let observation) = effect { observation } else { nil } }
    }

    var newGeneration: UInt64? {
        for case .generationChanged(let generation) in self { return generation }
        return nil
    }
}
