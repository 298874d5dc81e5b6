/// A binary heap of what is to happen, by time and, at equal times, in the order in which it was planned.
struct EventQueue<Action> {
    private var items: [(time: Int64, order: UInt64, action: Action)] = []
    private var planned: UInt64 = 0

    var isEmpty: Bool { items.isEmpty }
    var count: Int { items.count }
    var nextTime: Int64? { items.first?.time }

    mutating func plan(_ action: Action, at time: Int64) {
        planned += 1
        items.append((time, planned, action))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            items.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: Int64, action: Action)? {
        guard let first = items.first else { return nil }
        let last = items.removeLast()
        guard !items.isEmpty else { return (first.time, first.action) }
        items[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < items.count else { break }
            if child + 1 < items.count, precedes(child + 1, child) { child += 1 }
            guard precedes(child, parent) else { break }
            items.swapAt(child, parent)
            parent = child
        }
        return (first.time, first.action)
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        if items[left].time != items[right].time { return items[left].time < items[right].time }
        return items[left].order < items[right].order
    }
}
