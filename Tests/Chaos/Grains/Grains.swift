import Orchestra

/// Counts. Every reply is the new sum, so that a lost or a repeated addition shows in the next reply.
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

/// Holds one value. It begins as 0, which nobody writes.
struct Register: Grain, Codable {
    static let type: GrainType = "register"
    var value = 0

    struct Write: GrainCommand {
        typealias Reply = Int
        var value: Int
    }

    /// Its reply is the value afterwards: `new` if it was exchanged, else what the register holds.
    struct CompareAndSet: GrainCommand {
        typealias Reply = Int
        var expected: Int
        var new: Int
    }

    struct Read: GrainQuery {
        typealias Reply = Int
    }

    static let handlers = Handlers<Self> {
        Command(Write.self) { register, write, _ in
            register.value = write.value
            return write.value
        }
        Command(CompareAndSet.self) { register, exchange, _ in
            if register.value == exchange.expected { register.value = exchange.new }
            return register.value
        }
        Query(Read.self) { register, _ in register.value }
    }
}

/// Takes up room.
struct Blob: Grain, Codable {
    static let type: GrainType = "blob"
    var content = ""

    struct Put: GrainCommand {
        typealias Reply = Int
        var content: String
    }

    static let handlers = Handlers<Self> {
        Command(Put.self) { blob, put, _ in
            blob.content = put.content
            return put.content.utf8.count
        }
    }
}
