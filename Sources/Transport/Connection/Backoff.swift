/// The pauses between attempts to connect: each drawn evenly between half a bound and the bound, which doubles
/// from the minimum to the maximum ("equal jitter"), so that many callers of a restarted peer spread out.
package struct Backoff: Sendable {
    package let minimum: Duration
    package let maximum: Duration
    private var bound: Duration

    package init(minimum: Duration, maximum: Duration) {
        self.minimum = minimum
        self.maximum = maximum
        bound = minimum
    }

    /// - Parameter fraction: a random number in 0..<1.
    /// - Returns: how long to pause before the next attempt.
    package mutating func next(fraction: Double) -> Duration {
        let pause = bound * (0.5 + fraction / 2)
        bound = min(bound * 2, maximum)
        return pause
    }

    /// After a success the next pause is short again.
    package mutating func reset() {
        bound = minimum
    }
}
