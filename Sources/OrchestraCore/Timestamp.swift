/// A wall-clock instant: milliseconds since 1970-01-01T00:00:00Z, as Kafka and Avro's `timestamp-millis` count them.
///
/// This module never reads a clock; whoever needs the present gets it as an argument.
public struct Timestamp: Hashable, Comparable, Sendable, Codable {
    public var millisecondsSinceEpoch: Int64

    public init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    public init(from decoder: any Decoder) throws {
        millisecondsSinceEpoch = try decoder.singleValueContainer().decode(Int64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(millisecondsSinceEpoch)
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.millisecondsSinceEpoch < right.millisecondsSinceEpoch
    }

    /// The instant `duration` later (earlier if negative), rounded towards the past to a millisecond;
    /// beyond the representable range the result sticks to its end.
    public func advanced(by duration: Duration) -> Timestamp {
        let (sum, overflow) = millisecondsSinceEpoch.addingReportingOverflow(duration.wholeMilliseconds)
        guard overflow else { return Timestamp(millisecondsSinceEpoch: sum) }
        return Timestamp(millisecondsSinceEpoch: duration < .zero ? .min : .max)
    }

    /// The time from `earlier` to this instant; negative if `earlier` is later.
    public func duration(since earlier: Timestamp) -> Duration {
        .milliseconds(millisecondsSinceEpoch - earlier.millisecondsSinceEpoch)
    }
}

extension Duration {
    /// The duration in milliseconds, rounded towards negative infinity, clamped to what `Int64` holds.
    package var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let remainder = attoseconds / 1_000_000_000_000_000
        let truncated = product.addingReportingOverflow(remainder)
        guard !truncated.overflow else { return seconds < 0 ? .min : .max }
        let isInexactNegative = attoseconds % 1_000_000_000_000_000 < 0
        return isInexactNegative && truncated.partialValue > .min ? truncated.partialValue - 1 : truncated.partialValue
    }
}
