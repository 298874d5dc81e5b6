package import SeededRandom

/// A point on the monotonic clock of one node, in microseconds since an origin that the shell chooses.
///
/// Moments of different nodes cannot be compared, and none is ever sent.
package struct Moment: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    package static let zero = Moment(microseconds: 0)
    package static let distantFuture = Moment(microseconds: .max / 4)
    package static let distantPast = Moment(microseconds: .min / 4)

    package static func < (left: Moment, right: Moment) -> Bool { left.microseconds < right.microseconds }

    package static func + (moment: Moment, duration: Duration) -> Moment {
        Moment(microseconds: moment.microseconds &+ duration.microseconds)
    }

    package static func - (left: Moment, right: Moment) -> Duration {
        .microseconds(left.microseconds &- right.microseconds)
    }

    package var description: String { "\(Double(microseconds) / 1_000_000) s" }
}

extension Duration {
    /// Whole microseconds, rounded towards zero.
    package var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000
    }

    package func scaled(by factor: Double) -> Duration { .microseconds(Int64(Double(microseconds) * factor)) }
}

extension SeededGenerator {
    /// - Returns: the duration, longer or shorter by up to `part` of it.
    package mutating func jittered(_ duration: Duration, by part: Double = 0.1) -> Duration {
        duration.scaled(by: 1 + part * (2 * fraction() - 1))
    }
}
