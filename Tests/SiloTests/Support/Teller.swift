import OrchestraCore
import Records
import Silo

/// A command whose reply is as long as it is told to be.
struct Recite: GrainCommand {
    typealias Reply = String
    var length: Int
}

/// Tells others what its orders say, and keeps what comes of it.
struct Teller: Grain, Codable {
    static let type: GrainType = "teller"
    static let probe = Probe()

    struct Answers: GrainQuery {
        typealias Reply = [String]
    }

    var answers: [String] = []

    static let handlers = Handlers<Self> {
        On(.orders) { grain, order, turn in try obey(order, &turn) }
        OnReply("added", to: Add.self) { grain, reply, turn in grain.take(reply) { "\($0)" } }
        OnReply("added-slowly", to: Add.self) { grain, reply, turn in
            await Task.yield()
            grain.take(reply) { "slowly \($0)" }
        }
        OnReply("recited", to: Recite.self) { grain, reply, turn in grain.take(reply) { "\($0.count) letters" } }
        OnReply("refused", to: Add.self) { grain, _, turn in
            probe.note("refused \(turn.key)")
            throw Refusal()
        }
        Command(Recite.self) { _, recite, _ in String(repeating: "y", count: recite.length) }
        Query(Answers.self) { grain, _ in grain.answers }
    }

    private mutating func take<C>(_ reply: TellReply<C>, _ text: (C.Reply) -> String) {
        switch reply.result {
        case .success(let value): answers.append("\(reply.from): \(text(value))")
        case .failure(let error): answers.append("\(reply.from): \(error.code), \(error.message)")
        }
        if answers.count == 1 { answers.append(reply.requestID) }
    }

    private static func obey(_ order: AgentTask, _ turn: inout Turn) throws {
        let words = order.input.split(separator: " ").map(String.init)
        let number = words.count > 1 ? Int(words[1]) ?? 0 : 0
        let handler = words.count > 3 ? words[3] : "added"
        switch words.first {
        case "add":
            let id = try turn.tell(Add(amount: number), to: Counter.type, key: words[2], replyTo: handler)
            probe.note("told \(turn.key) \(id)")
        case "recite": try turn.tell(Recite(length: number), to: Teller.type, key: words[2], replyTo: "recited")
        case "nobody": try turn.tell(Add(amount: 1), to: "nobody", key: turn.key, replyTo: "added")
        case "fly": try turn.tell(Add(amount: 1), to: Teller.type, key: turn.key, replyTo: "added")
        case "complete-and-tell":
            turn.complete()
            try turn.tell(Add(amount: 1), to: Counter.type, key: "other", replyTo: "added")
        case "complete": turn.complete()
        default: break
        }
    }
}
