import OrchestraCore
import Records
import Silo
import Synchronization

/// The event of the test grains: the built-in task record, whose `input` says what the turn shall do.
extension StreamName where Event == AgentTask {
    static var orders: StreamName<AgentTask> { StreamName(topic: "orders") }
    static var receipts: StreamName<AgentTask> { StreamName(topic: "receipts") }
}

func order(_ text: String, key: String, id: String = "") -> AgentTask {
    let never = Timestamp(millisecondsSinceEpoch: 0)
    return AgentTask(taskId: id, workflowId: key, agent: "", input: text, createdAt: never, deadline: never)
}

/// What handlers do besides: seen by the tests, invisible to the runtime.
final class Probe: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    func note(_ what: String) { counts.withLock { $0[what, default: 0] += 1 } }
    func count(of what: String) -> Int { counts.withLock { $0[what, default: 0] } }
}

struct Refusal: Error, CustomStringConvertible {
    var description: String { "the handler refuses" }
}

struct Add: GrainCommand {
    typealias Reply = Int
    var amount: Int
    var text: String?
}

struct Total: GrainQuery {
    typealias Reply = Int
}

struct Finish: GrainCommand {
    typealias Reply = NoReply
}

/// Counts what it is told; obeys a few words that make turns go wrong.
struct Counter: Grain, Codable, Equatable {
    static let type: GrainType = "counter"
    static let probe = Probe()

    var total = 0
    var padding = ""
    var seenAt: Int64 = 0

    static let handlers = Handlers<Self> {
        On(.orders) { grain, order, turn in try grain.obey(order, &turn) }
        Publishes(.receipts)
        Timer("ring") { grain, turn in
            probe.note("ring \(turn.key)")
            grain.total += 1_000
        }
        Timer("broken") { grain, _ in
            grain.total += 1
            throw Refusal()
        }
        Command(Add.self) { grain, add, turn in
            guard add.amount >= 0 else {
                probe.note("refuse \(turn.key)")
                throw Refusal()
            }
            probe.note("add \(turn.key)")
            grain.total += add.amount
            return grain.total
        }
        Command(Finish.self) { _, _, turn in
            turn.complete()
            return NoReply()
        }
        Query(Total.self) { grain, _ in grain.total }
    }

    private mutating func obey(_ order: AgentTask, _ turn: inout Turn) throws {
        let words = order.input.split(separator: " ").map(String.init)
        let number = words.count > 1 ? Int(words[1]) ?? 0 : 0
        switch words.first {
        case "add":
            total += number
            seenAt = turn.now.millisecondsSinceEpoch
        case "receipt":
            total += number
            try turn.publish(order, to: .receipts, key: turn.key)
        case "throw":
            Counter.probe.note("throw \(turn.key)")
            total += 7
            throw Refusal()
        case "throw-twice":
            Counter.probe.note("throw \(turn.key)")
            if Counter.probe.count(of: "throw \(turn.key)") < 3 { throw Refusal() }
            total += 1
        case "grow": padding = String(repeating: "x", count: number)
        case "ring": try turn.schedule("ring", at: turn.now.advanced(by: .milliseconds(number)))
        case "break": try turn.schedule("broken", at: turn.now)
        case "silence": turn.cancelTimer("ring")
        case "complete": turn.complete()
        case "tell": try turn.tell(Add(amount: number), to: Counter.type, key: words[2])
        case "tell-nobody": try turn.tell(Finish(), to: "nobody", key: turn.key)
        case "stray": try turn.publish(order, to: .agentTasks, key: turn.key)
        default: break
        }
    }
}

/// A grain whose state takes its time to be decoded, as one does whose writer's schema has to be fetched.
struct Ponderous: Grain, Codable {
    static let type: GrainType = "ponderous"
    /// Where decoding waits.
    static let wait = Mutex<OneShot<Void>?>(nil)
    static let probe = Probe()

    var total = 0

    static let handlers = Handlers<Self> {
        Command(Add.self) { grain, add, _ in
            grain.total += add.amount
            return grain.total
        }
        Query(Total.self) { grain, _ in grain.total }
    }

    static var stateFormat: StateFormat<Self> {
        var format = StateFormat<Self>.json
        let decode = format.decode
        format.decode = { _, _ in nil }
        format.decodeSuspending = { state, codec in
            probe.note("decode")
            await wait.withLock { $0 }?.value()
            return try decode(state, codec) ?? Ponderous()
        }
        return format
    }
}

/// A grain whose turns suspend.
struct Sleeper: Grain, Codable {
    static let type: GrainType = "sleeper"
    static let probe = Probe()
    static let gate = Mutex<[String: CheckedContinuation<Void, Never>]>([:])

    var naps = 0

    static let handlers = Handlers<Self> {
        On(.orders) { grain, order, turn in
            let (key, input) = (turn.key, order.input)
            if input == "sleep" {
                probe.note("begun \(key)")
                await withCheckedContinuation { continuation in
                    gate.withLock { $0[key] = continuation }
                }
            }
            grain.naps += 1
        }
        Query(Total.self) { grain, _ in grain.naps }
    }

    static func wake(_ key: String) {
        gate.withLock { $0.removeValue(forKey: key) }?.resume()
    }
}
