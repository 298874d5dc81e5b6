import Orchestra

/// A first grain: a durable counter. Its stored properties are its state; there is one for each key.
struct Counter: Grain, Codable {
    static let type: GrainType = "counter"
    var count = 0

    struct Add: GrainCommand {
        typealias Reply = Int
        var amount: Int
    }

    struct Read: GrainQuery {
        typealias Reply = Int
    }

    static let handlers = Handlers<Self> {
        Command(Add.self) { counter, add, _ in
            counter.count += add.amount
            return counter.count
        }
        Query(Read.self) { counter, _ in counter.count }
    }
}
