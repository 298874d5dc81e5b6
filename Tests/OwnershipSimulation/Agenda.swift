/// What is to happen, by time and, at equal times, in the order in which it was planned: a binary heap.
///
/// It keeps what it moves about small, because a run spends much of its time here.
struct Agenda {
    private struct Entry {
        var time: Int64
        var order: UInt32
        /// Where the action is kept.
        var place: Int32

        func precedes(_ other: Entry) -> Bool { time == other.time ? order < other.order : time < other.time }
    }

    private var heap: [Entry] = []
    private var actions: [(() -> Void)?] = []
    private var free: [Int32] = []
    private var planned: UInt32 = 0

    var nextTime: Int64? { heap.first?.time }

    mutating func plan(at time: Int64, _ action: @escaping () -> Void) {
        let place: Int32
        if let last = free.popLast() {
            place = last
            actions[Int(place)] = action
        } else {
            place = Int32(actions.count)
            actions.append(action)
        }
        planned += 1
        let entry = Entry(time: time, order: planned, place: place)
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry.precedes(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    mutating func next() -> (time: Int64, action: () -> Void)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty { sift(last) }
        free.append(first.place)
        guard let action = actions[Int(first.place)] else { return nil }
        actions[Int(first.place)] = nil
        return (first.time, action)
    }

    /// Puts an entry in the place of the first one, and then where it belongs.
    private mutating func sift(_ entry: Entry) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(entry) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}
