import CoreMetrics
import Synchronization

/// One time series, or for a histogram all that it consists of.
protocol PrometheusInstrument: AnyObject, Sendable {
    /// Appends the lines of this series.
    func write(_ name: String, _ labels: String, to text: inout String)
}

/// A number that only grows.
final class PrometheusCounter: PrometheusInstrument, CounterHandler {
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }

    func write(_ name: String, _ labels: String, to text: inout String) {
        text += PrometheusText.line(name, labels, "\(value.load(ordering: .relaxed))")
    }
}

/// A number with fractions that only grows.
final class PrometheusSum: PrometheusInstrument, FloatingPointCounterHandler {
    private let value = Mutex(0.0)

    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func reset() { value.withLock { $0 = 0 } }

    func write(_ name: String, _ labels: String, to text: inout String) {
        text += PrometheusText.line(name, labels, PrometheusText.number(value.withLock { $0 }))
    }
}

/// A number that goes up and down.
final class PrometheusGauge: PrometheusInstrument, MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)

    func set(_ new: Int64) { set(Double(new)) }
    func set(_ new: Double) { value.withLock { $0 = new } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ new: Int64) { set(Double(new)) }
    func record(_ new: Double) { set(new) }

    func write(_ name: String, _ labels: String, to text: inout String) {
        text += PrometheusText.line(name, labels, PrometheusText.number(value.withLock { $0 }))
    }
}

/// How often values fell below each of some bounds, their number and their sum.
final class PrometheusHistogram: PrometheusInstrument, RecorderHandler, CoreMetrics.TimerHandler {
    /// For times: half a millisecond to ten seconds.
    static let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    /// For everything else: powers of four.
    static let sizes: [Double] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536]

    private struct State: Sendable {
        /// Of each bucket alone, and of what is beyond the last bound.
        var counts: [Int64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    /// - Parameter bounds: ascending; a value equal to a bound is within.
    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    func write(_ name: String, _ labels: String, to text: inout String) {
        let state = state.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var count: Int64 = 0
        for (bound, inBucket) in zip(bounds + [.infinity], state.counts) {
            count += inBucket
            text += PrometheusText.line(
                name + "_bucket", "\(prefix)le=\"\(PrometheusText.number(bound))\"", "\(count)")
        }
        text += PrometheusText.line(name + "_sum", labels, PrometheusText.number(state.sum))
        text += PrometheusText.line(name + "_count", labels, "\(count)")
    }
}
