import Metrics
import Synchronization

/// What happened at a server's or a client's connections since its start, for health pages, tests and swift-metrics
/// (`orchestra_transport_*`).
package final class TransportCounters: Sendable {
    package struct Snapshot: Sendable, Hashable {
        /// Connections whose handshake succeeded.
        package var connections = 0
        /// Connections closed because there were too many.
        package var turnedAway = 0
        /// Connections closed before they introduced themselves, because too many had not.
        package var evicted = 0
        /// Connections ended by what the peer sent or did not send.
        package var violations: [WireError.Kind: Int] = [:]
        /// Calls taken on.
        package var calls = 0
        /// Calls answered `overloaded` without being taken on.
        package var overloaded = 0
        /// Calls whose answer the caller no longer wanted, or whose deadline passed at the server.
        package var abandoned = 0
    }

    private let state = Mutex(Snapshot())
    private let side: String
    private let callCounter: Counter
    private let overloadedCounter: Counter
    private let connectionCounter: Counter

    /// - Parameter side: "server" or "client", a label of every metric.
    package init(side: String) {
        self.side = side
        callCounter = Counter(label: "orchestra_transport_calls_total", dimensions: [("side", side)])
        overloadedCounter = Counter(label: "orchestra_transport_overloaded_total", dimensions: [("side", side)])
        connectionCounter = Counter(label: "orchestra_transport_connections_total", dimensions: [("side", side)])
    }

    package var snapshot: Snapshot { state.withLock { $0 } }

    func countConnection() {
        state.withLock { $0.connections += 1 }
        connectionCounter.increment()
    }

    func countTurnedAway() {
        state.withLock { $0.turnedAway += 1 }
        Counter(label: "orchestra_transport_turned_away_total", dimensions: [("side", side)]).increment()
    }

    func countEvicted() {
        state.withLock { $0.evicted += 1 }
        Counter(label: "orchestra_transport_evicted_total", dimensions: [("side", side)]).increment()
    }

    func count(_ violation: WireError.Kind) {
        state.withLock { $0.violations[violation, default: 0] += 1 }
        Counter(
            label: "orchestra_transport_violations_total", dimensions: [("side", side), ("kind", violation.rawValue)]
        ).increment()
    }

    func count(calls: Int, overloaded: Int) {
        guard calls + overloaded > 0 else { return }
        state.withLock { state in
            state.calls += calls
            state.overloaded += overloaded
        }
        if calls > 0 { callCounter.increment(by: calls) }
        if overloaded > 0 { overloadedCounter.increment(by: overloaded) }
    }

    func countAbandoned(_ count: Int) {
        guard count > 0 else { return }
        state.withLock { $0.abandoned += count }
    }
}
