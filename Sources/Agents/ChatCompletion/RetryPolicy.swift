/// When a request to a model server is repeated, and after which wait: the rules, without clock or random source.
package struct RetryPolicy: Sendable, Hashable {
    /// How often a request is sent in all, at least 1. Default 3.
    package var maximumAttempts: Int
    /// The first wait when the server names none. Default 0.5 s; it doubles with each attempt.
    package var firstDelay: Duration
    /// The longest wait when the server names none. Default 8 s.
    package var maximumDelay: Duration
    /// A server that asks for a longer wait than this is not waited for. Default 120 s.
    package var maximumServerDelay: Duration

    package init(
        maximumAttempts: Int = 3, firstDelay: Duration = .milliseconds(500), maximumDelay: Duration = .seconds(8),
        maximumServerDelay: Duration = .seconds(120)
    ) {
        self.maximumAttempts = maximumAttempts
        self.firstDelay = firstDelay
        self.maximumDelay = maximumDelay
        self.maximumServerDelay = maximumServerDelay
    }

    /// Whether a response with that status is worth a repetition. The server's own word (`x-should-retry`) wins.
    static func isRetriable(status: Int, shouldRetry: String?) -> Bool {
        switch shouldRetry?.lowercased() {
        case "true": true
        case "false": false
        default: [408, 409, 429].contains(status) || status >= 500
        }
    }

    /// How long to wait before the next attempt; `nil`: give up.
    ///
    /// - Parameters:
    ///   - attempt: the attempt that has failed, from 1.
    ///   - serverDelay: what the server asked for.
    ///   - timeLeft: how long the caller still waits; a wait that would use it up is not begun.
    ///   - jitter: 0 to 1, from the caller's random source; takes away up to a quarter of our own wait.
    func delay(after attempt: Int, serverDelay: Duration?, timeLeft: Duration?, jitter: Double) -> Duration? {
        guard attempt < maximumAttempts else { return nil }
        let delay: Duration
        if let serverDelay {
            guard serverDelay <= maximumServerDelay else { return nil }
            delay = max(serverDelay, .zero)
        } else {
            // 2^20 times half a second is beyond every limit; the shift must not overflow.
            let doubled = firstDelay * (1 << min(attempt - 1, 20))
            delay = min(doubled, maximumDelay) * (1 - 0.25 * min(max(jitter, 0), 1))
        }
        if let timeLeft, delay >= timeLeft { return nil }
        return delay
    }

    /// What a response's headers ask for: `retry-after-ms`, else `retry-after` in seconds or as an HTTP date.
    ///
    /// - Parameter now: seconds since 1970, to tell how far away a date is.
    static func serverDelay(milliseconds: String?, retryAfter: String?, now: Double) -> Duration? {
        if let value = milliseconds.flatMap({ Double($0.trimmingWhiteSpace()) }), value.isFinite, value >= 0 {
            return .seconds(min(value / 1000, 1e9))
        }
        guard let text = retryAfter?.trimmingWhiteSpace() else { return nil }
        if let value = Double(text), value.isFinite { return .seconds(min(max(value, 0), 1e9)) }
        guard let date = httpDate(text) else { return nil }
        return .seconds(max(Double(date) - now, 0))
    }

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110) as seconds since 1970.
    static func httpDate(_ text: String) -> Int? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]), let year = Int(parts[3]) else { return nil }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard let monthIndex = months.firstIndex(of: String(parts[2])) else { return nil }
        let time = parts[4].split(separator: ":").map { Int($0) }
        guard time.count == 3, let hour = time[0], let minute = time[1], let second = time[2],
            (1...31).contains(day), (1970...9999).contains(year), (0...23).contains(hour), (0...59).contains(minute),
            (0...60).contains(second)
        else { return nil }
        // Days since 1970-01-01 in the proleptic Gregorian calendar, counting years from March
        // (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
        let month = monthIndex + 1
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear % 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return days * 86_400 + hour * 3600 + minute * 60 + second
    }
}
