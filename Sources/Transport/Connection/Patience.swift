package import NIOCore

/// Measures how long something has not happened, looked at in regular steps.
///
/// One look counts for at most two steps. So a process that was itself stopped or starved (a laptop's sleep, a `SIGSTOP`,
/// a busy machine) does not take its own absence for the silence of its peers: what they sent meanwhile waits in the
/// socket, and is read before the next look.
package struct Patience: Sendable {
    private let step: TimeAmount
    private var lastLook: NIODeadline
    /// How long it has not happened, as far as it was looked at.
    private(set) package var spent = TimeAmount.zero

    /// - Parameter step: how often ``look(at:)`` is called.
    package init(step: TimeAmount, now: NIODeadline) {
        self.step = step
        lastLook = now
    }

    /// - Returns: ``spent``, with the time since the last look.
    package mutating func look(at now: NIODeadline) -> TimeAmount {
        spent = spent + min(now - lastLook, step + step)
        lastLook = now
        return spent
    }

    /// It happened.
    package mutating func reset() {
        spent = .zero
    }
}
