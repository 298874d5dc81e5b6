import OrchestraCore
import Silo

/// What a desk is told to do: one call of another grain, or several steps.
indirect enum Errand: Codable, Sendable {
    case add(Int)
    case addToCounter(Int, key: String)
    case total(counter: String)
    case errand(Errand, desk: String)
    case peek(desk: String)
    case both(Errand, Errand)
    case stop
    case refuse
    case complete
}

struct Run: GrainCommand {
    typealias Reply = Int
    var errand: Errand
    init(_ errand: Errand) { self.errand = errand }
}

/// Its handler does not suspend.
struct Note: GrainCommand {
    typealias Reply = Int
    var amount: Int
    var refuses = false
    var completes = false
}

/// A volatile grain that runs errands.
struct Desk: VolatileGrain {
    static let type: GrainType = "desk"
    static let probe = Probe()
    /// Runs within turns that say `stop`, by key.
    static let stop = Locked<[String: @Sendable () async throws -> Void]>([:])
    /// Runs within turns of ``Note``, by key.
    static let meanwhile = Locked<[String: @Sendable () -> Void]>([:])

    var sum = 0

    static let handlers = Handlers<Self> {
        Command(Run.self) { desk, run, turn in
            probe.note("run \(turn.key) \(turn.isNew ? "new" : "old")")
            desk.sum += try await Desk.run(run.errand, &turn)
            return desk.sum
        }
        Command(Note.self) { desk, note, turn in
            probe.note("note \(turn.key) \(turn.isNew ? "new" : "old")")
            desk.sum += note.amount
            meanwhile.value[turn.key]?()
            if note.refuses { throw Refusal() }
            if note.completes { turn.complete() }
            return desk.sum
        }
        Query(Total.self) { desk, _ in desk.sum }
        Query(Unanswered.self) { _, _ in throw NotYet() }
    }

    private static func run(_ errand: Errand, _ turn: inout VolatileTurn) async throws -> Int {
        let cluster = turn.cluster
        switch errand {
        case .add(let amount): return amount
        case .addToCounter(let amount, let key):
            return try await cluster.grain(Counter.self, key: key).send(Add(amount: amount))
        case .total(let key): return try await cluster.grain(Counter.self, key: key).ask(Total()).value
        case .errand(let errand, let key):
            return try await cluster.grain(Desk.self, key: key).send(Run(errand), deadline: .seconds(3_600))
        case .peek(let key): return try await cluster.grain(Desk.self, key: key).ask(Total()).value
        case .both(let one, let other): return try await run(one, &turn) + run(other, &turn)
        case .stop:
            try await stop.value[turn.key]?()
            return 0
        case .refuse: throw Refusal()
        case .complete:
            turn.complete()
            return 0
        }
    }
}
