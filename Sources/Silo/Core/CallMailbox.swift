import DequeModule
package import OrchestraCore

/// The commands that wait for their turns. Bounded in number and bytes.
package struct CallMailbox: Sendable {
    private var calls: Deque<PendingCall> = []
    private var bytes = 0
    private let maximumCount: Int
    private let maximumBytes: Int

    package init(maximumCount: Int, maximumBytes: Int) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    package var isEmpty: Bool { calls.isEmpty }
    package var count: Int { calls.count }

    /// - Throws: ``OrchestraError`` with `overloaded` when the mailbox is full.
    package mutating func add(_ call: PendingCall) throws(OrchestraError) {
        guard calls.count < maximumCount, bytes + call.size <= maximumBytes || calls.isEmpty else {
            throw OrchestraError(
                .overloaded, "\(calls.count) commands (\(bytes) bytes) wait in the partition of \(call.request.grain)",
                nextStep: "try again in a moment")
        }
        calls.append(call)
        bytes += call.size
    }

    /// Takes out the oldest calls that still have a caller.
    package mutating func take(maximum: Int) -> [PendingCall] {
        var taken: [PendingCall] = []
        while taken.count < maximum, let call = calls.popFirst() {
            bytes -= call.size
            if !call.isAnswered { taken.append(call) }
        }
        return taken
    }

    /// Takes out those whose deadline has passed or whose caller has gone. Their turns have not begun.
    package mutating func takeExpired(at now: ContinuousClock.Instant) -> [PendingCall] {
        guard calls.contains(where: { $0.deadline <= now || $0.isAnswered }) else { return [] }
        let expired = calls.filter { $0.deadline <= now || $0.isAnswered }
        calls.removeAll { $0.deadline <= now || $0.isAnswered }
        bytes = calls.reduce(0) { $0 + $1.size }
        return Array(expired)
    }
}
