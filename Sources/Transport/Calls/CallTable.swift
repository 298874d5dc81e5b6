/// Calls in progress by id, with their deadlines. A value type without a clock.
///
/// Ids are slots of an array with a counter of their use, so that looking an answer up is an index, and the answer to
/// a call that has been given up does not find its successor. `earliestDeadline` may lie before the true one after
/// removals; a sweep that finds nothing then costs one pass over the slots and corrects it, so a steady flow of calls
/// with time-outs of a second pays one sweep a second instead of a timer for each call.
package struct CallTable<Call> {
    private struct Slot {
        var call: Call?
        var use: UInt32
        /// Nanoseconds on the caller's monotonic clock; `.max` in an empty slot.
        var deadline: UInt64
    }

    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private(set) package var count = 0
    /// No call's deadline lies before this one; `.max` when there is none.
    private(set) package var earliestDeadline = UInt64.max

    package init() {}

    package mutating func insert(_ call: Call, deadline: UInt64) -> UInt64 {
        count += 1
        earliestDeadline = min(earliestDeadline, deadline)
        if let free = freeSlots.popLast() {
            let index = Int(free)
            slots[index].call = call
            slots[index].deadline = deadline
            return id(index)
        }
        slots.append(Slot(call: call, use: 0, deadline: deadline))
        return id(slots.count - 1)
    }

    package subscript(id: UInt64) -> Call? {
        guard let index = index(of: id) else { return nil }
        return slots[index].call
    }

    package mutating func remove(_ id: UInt64) -> Call? {
        guard let index = index(of: id) else { return nil }
        return take(index)
    }

    /// Removes and returns every call whose deadline is at or before `now`.
    package mutating func removeExpired(at now: UInt64) -> [Call] {
        guard earliestDeadline <= now else { return [] }
        var expired: [Call] = []
        var earliest = UInt64.max
        for index in slots.indices {
            let deadline = slots[index].deadline
            if deadline <= now, let call = take(index) {
                expired.append(call)
            } else {
                earliest = min(earliest, deadline)
            }
        }
        earliestDeadline = earliest
        return expired
    }

    /// Removes and returns the calls for which `isWanted` is true.
    package mutating func removeAll(where isWanted: (Call) -> Bool) -> [Call] {
        var removed: [Call] = []
        for index in slots.indices {
            if let call = slots[index].call, isWanted(call), let call = take(index) { removed.append(call) }
        }
        return removed
    }

    private func id(_ index: Int) -> UInt64 { UInt64(slots[index].use) << 32 | UInt64(index) }

    private func index(of id: UInt64) -> Int? {
        let index = Int(id & 0xFFFF_FFFF)
        guard index < slots.count, slots[index].use == UInt32(id >> 32), slots[index].call != nil else { return nil }
        return index
    }

    private mutating func take(_ index: Int) -> Call? {
        guard let call = slots[index].call else { return nil }
        slots[index].call = nil
        slots[index].use &+= 1
        slots[index].deadline = .max
        freeSlots.append(UInt32(index))
        count -= 1
        if count == 0 { earliestDeadline = .max }
        return call
    }
}
