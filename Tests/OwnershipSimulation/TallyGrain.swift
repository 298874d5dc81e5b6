import OrchestraCore
import Records
import Silo

extension StreamName where Event == AgentTask {
    static var orders: StreamName<AgentTask> { StreamName(topic: "orders") }
    static var receipts: StreamName<AgentTask> { StreamName(topic: "receipts") }
}

struct AddOne: GrainCommand {
    typealias Reply = Int
}

/// Is refused; the refusal says the total.
struct Refuse: GrainCommand {
    typealias Reply = Int
}

struct ReadTotal: GrainQuery {
    typealias Reply = Int
}

/// Counts commands and records: whatever is lost, repeated or read too late shows in the number.
struct Tally: Grain, Codable {
    static let type: GrainType = "tally"

    var total = 0

    static let handlers = Handlers<Self> {
        On(.orders) { grain, order, turn in
            grain.total += 1
            try turn.publish(order, to: .receipts, key: turn.key)
        }
        Publishes(.receipts)
        Command(AddOne.self) { grain, _, _ in
            grain.total += 1
            return grain.total
        }
        Command(Refuse.self) { grain, _, _ in
            throw OrchestraError(.conflict, "\(grain.total)")
        }
        Query(ReadTotal.self) { grain, _ in grain.total }
    }
}
