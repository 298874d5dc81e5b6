/// Keeps a broker that is away from flooding the log: a line is let through once, its repetitions within the window
/// are counted, and the first one after the window says how many were left out. A value without a clock.
struct LogThrottle {
    /// What to do with a line.
    enum Verdict: Hashable {
        case write
        /// Write it, and say that so many like it were left out before.
        case writeAfter(leftOut: Int)
        case drop
    }

    private struct Seen {
        var windowStart: ContinuousClock.Instant
        var leftOut: Int
    }

    /// More kinds of lines than this are not told apart any more: the oldest is forgotten.
    private static let maximumKinds = 64

    private let window: Duration
    private var seen: [String: Seen] = [:]

    /// - Parameter window: for how long repetitions are left out.
    init(window: Duration = .seconds(30)) {
        self.window = window
    }

    mutating func judge(_ line: String, now: ContinuousClock.Instant) -> Verdict {
        let kind = LogThrottle.kind(of: line)
        guard var entry = seen[kind] else {
            if seen.count >= LogThrottle.maximumKinds { forgetOldest() }
            seen[kind] = Seen(windowStart: now, leftOut: 0)
            return .write
        }
        guard now - entry.windowStart >= window else {
            entry.leftOut += 1
            seen[kind] = entry
            return .drop
        }
        seen[kind] = Seen(windowStart: now, leftOut: 0)
        return entry.leftOut == 0 ? .write : .writeAfter(leftOut: entry.leftOut)
    }

    private mutating func forgetOldest() {
        let oldest = seen.min { $0.value.windowStart < $1.value.windowStart }
        if let oldest { seen[oldest.key] = nil }
    }

    /// The same message with other times, counts or ports is the same kind.
    private static func kind(of line: String) -> String {
        String(line.lazy.filter { !$0.isNumber }.prefix(200))
    }
}
