import OrchestraCore
import Records
import Silo

/// A query whose answer is not there yet.
struct Unanswered: GrainQuery {
    typealias Reply = Int
}

/// A query that is answered by an error of the caller's choice.
struct Fail: GrainQuery {
    typealias Reply = Int
    var code: String
}

/// A grain whose turns read others.
struct Reader: Grain, Codable {
    static let type: GrainType = "reader"
    static let probe = Probe()
    /// Runs within turns whose order says `stop`, before they read.
    static let stop = Locked<[String: @Sendable () async -> Void]>([:])

    var seen: [Int] = []

    struct Look: GrainCommand {
        typealias Reply = Int
        var key: String
    }

    struct Seen: GrainQuery {
        typealias Reply = [Int]
    }

    static let handlers = Handlers<Self> {
        On(.orders) { grain, order, turn in try await grain.obey(order, &turn) }
        Command(Look.self) { grain, look, turn in
            let total = try await turn.read(Total(), of: Counter.type, key: look.key)
            grain.seen.append(total)
            return total
        }
        Query(Seen.self) { grain, _ in grain.seen }
        Query(Unanswered.self) { _, _ in throw NotYet() }
        Query(Fail.self) { _, fail in throw OrchestraError(OrchestraError.Code(rawValue: fail.code), "chosen") }
    }

    private mutating func obey(_ order: AgentTask, _ turn: inout Turn) async throws {
        let words = order.input.split(separator: " ").map(String.init)
        Reader.probe.note("\(words[0]) \(turn.key)")
        switch words[0] {
        case "read": seen.append(try await turn.read(Total(), of: Counter.type, key: words[1]))
        case "read-or-zero":
            do {
                seen.append(try await turn.read(Total(), of: Counter.type, key: words[1]))
            } catch {
                seen.append(0)
            }
        case "stop":
            await Reader.stop.value[turn.key]?()
            seen.append(try await turn.read(Total(), of: Counter.type, key: words[1]))
        case "never": seen.append(try await turn.read(Unanswered(), of: Reader.type, key: turn.key))
        case "fail": seen.append(try await turn.read(Fail(code: words[1]), of: Reader.type, key: turn.key))
        case "seen": seen.append(try await turn.read(Seen(), of: Reader.type, key: words[1]).count)
        case "begin": seen.append(-1)
        default: break
        }
    }
}
