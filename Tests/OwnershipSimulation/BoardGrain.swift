import OrchestraCore
import Silo

/// What a ``Board`` says of itself.
struct BoardState: Codable, Sendable, Hashable {
    /// The first command that it took: tells one activation from the next.
    var activation: String
    /// How many commands it has taken.
    var count: Int
    /// What the ``Tally`` of its key says, if it was asked.
    var total: Int?
}

/// Changes the board where the call comes in.
struct Note: GrainCommand {
    typealias Reply = BoardState
    /// Names the activation that begins with it.
    var token: String
}

/// Asks the ``Tally`` of the same key, and changes the board after that.
struct Consult: GrainCommand {
    typealias Reply = BoardState
    var token: String
}

struct ReadBoard: GrainQuery {
    typealias Reply = BoardState
}

/// A volatile grain that says which activation answers.
struct Board: VolatileGrain, Codable {
    static let type: GrainType = "board"

    var activation = ""
    var count = 0

    static let handlers = Handlers<Self> {
        Command(Note.self) { board, note, _ in board.take(note.token) }
        Command(Consult.self) { board, consult, turn in
            let total: Int
            do {
                total = try await turn.cluster.grain(Tally.self, key: turn.key).ask(ReadTotal()).value
            } catch let error as OrchestraError where error.code == .notFound {
                total = 0
            }
            var state = board.take(consult.token)
            state.total = total
            return state
        }
        Query(ReadBoard.self) { board, _ in BoardState(activation: board.activation, count: board.count) }
    }

    private mutating func take(_ token: String) -> BoardState {
        if count == 0 { activation = token }
        count += 1
        return BoardState(activation: activation, count: count)
    }
}
