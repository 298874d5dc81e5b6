import Metrics
import Synchronization

/// The metrics of the whole node, as its monitoring reads them.
package struct MetricsPage: Sendable {
    package var contentType: String
    package var text: @Sendable () -> String

    package init(contentType: String, text: @escaping @Sendable () -> String) {
        self.contentType = contentType
        self.text = text
    }
}

/// Counts and times requests by what they asked for and how they were answered (`orchestra_gateway_*`).
final class GatewayMetrics: Sendable {
    private struct Key: Hashable {
        var route: String
        var status: Int
    }

    private struct Meters {
        var counter: Counter
        var timer: Metrics.Timer
    }

    /// Routes and statuses are few, so this stays small.
    private let meters = Mutex<[Key: Meters]>([:])

    func record(route: String, status: Int, took: Duration) {
        let meters = meters.withLock { meters in
            let key = Key(route: route, status: status)
            if let known = meters[key] { return known }
            let labels = [("route", route), ("status", String(status))]
            let new = Meters(
                counter: Counter(label: "orchestra_gateway_requests_total", dimensions: labels),
                timer: Metrics.Timer(label: "orchestra_gateway_request_seconds", dimensions: labels))
            meters[key] = new
            return new
        }
        meters.counter.increment()
        let (seconds, attoseconds) = took.components
        meters.timer.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
