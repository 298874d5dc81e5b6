/// What the clients of ``Tally`` grains did and saw, and whether one grain that counts in one place could have answered
/// so: every answer lies between what had been answered when its call began and what had been begun when it came. For
/// numbers that only grow by one that is linearisability.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class History: @unchecked Sendable {
    private struct Grain {
        /// Commands that were begun, and those that were answered.
        var begun = 0
        var answered = 0
        var orders = 0
        /// Those that were sent to the grain's own partition.
        var straight = 0
        /// The greatest total that any call has been told.
        var seen = 0
        var replies: Set<Int> = []
    }

    /// What a call must see at least.
    struct Beginning {
        fileprivate var floor: Int
        fileprivate var mayBeAbsent: Bool
    }

    private let world: VirtualWorld
    private var grains: [String: Grain] = [:]
    private(set) var violations: [String] = []
    private(set) var operations = 0

    init(_ world: VirtualWorld) { self.world = world }

    func violation(_ text: String) {
        let entry = "at \(Double(world.time) / 1_000_000) s: \(text)"
        world.log("VIOLATION \(entry)")
        if violations.count < 20 { violations.append(entry) }
    }

    /// - Parameter sees: whether it waits for the orders that have been appended.
    func begin(_ key: String, adds: Bool = false, sees: Bool = false) -> Beginning {
        var grain = grains[key] ?? Grain()
        defer { grains[key] = grain }
        let floor = max(grain.seen, grain.answered + (sees ? grain.straight : 0))
        if adds { grain.begun += 1 }
        return Beginning(floor: floor, mayBeAbsent: grain.answered + grain.straight + grain.seen == 0)
    }

    func ordered(_ key: String, isStray: Bool) {
        grains[key, default: Grain()].orders += 1
        if !isStray { grains[key, default: Grain()].straight += 1 }
    }

    func read(_ key: String, _ total: Int, _ beginning: Beginning) {
        check(key, total, atLeast: beginning.floor, "a query")
    }

    func notFound(_ key: String, _ beginning: Beginning) {
        operations += 1
        if !beginning.mayBeAbsent { violation("\(key) is not found, but has taken in \(beginning.floor) or more") }
    }

    func added(_ key: String, _ total: Int, _ beginning: Beginning) {
        check(key, total, atLeast: beginning.floor + 1, "a command")
        if grains[key]?.replies.insert(total).inserted != true { violation("two commands made \(key) \(total)") }
        grains[key]?.answered += 1
    }

    private func check(_ key: String, _ total: Int, atLeast floor: Int, _ what: String) {
        operations += 1
        var grain = grains[key] ?? Grain()
        world.mark(UInt64(truncatingIfNeeded: total) << 4 | 5)
        let ceiling = grain.begun + grain.orders
        if total < floor { violation("\(what) of \(key) was told \(total): too old, it is \(floor) or more") }
        if total > ceiling { violation("\(what) of \(key) was told \(total), but only \(ceiling) inputs were sent") }
        grain.seen = max(grain.seen, total)
        grains[key] = grain
    }

    // MARK: At the end

    func isTouched(_ key: String) -> Bool { grains[key].map { $0.begun + $0.orders > 0 } ?? false }

    func expected(of key: String) -> Int { grains[key].map { $0.begun + $0.orders } ?? 0 }

    func ended(_ key: String, _ total: Int?) {
        guard let grain = grains[key] else { return }
        if grain.answered != grain.begun { violation("\(grain.begun - grain.answered) commands of \(key) hang") }
        let expected = expected(of: key)
        if total != expected {
            violation("\(key) is \(total.map(String.init) ?? "unreadable") at the end, but should be \(expected)")
        }
    }
}
