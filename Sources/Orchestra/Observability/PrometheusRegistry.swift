import CoreMetrics
import Synchronization

/// The metrics of this process, kept in memory and told in Prometheus' text format.
///
/// Two instruments of the same name and dimensions are one. Names and dimensions that Prometheus does not know, such as
/// `gen_ai.client.operation.duration`, get underscores; timers are histograms in seconds.
final class PrometheusRegistry: MetricsFactory {
    /// What a node answers at `/metrics`.
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    fileprivate struct Family: Sendable {
        var kind: String
        /// By labels, as they are written.
        var series: [String: any PrometheusInstrument] = [:]
    }

    /// As the parts name it. Some ask for their instruments each time, so finding one must be cheap.
    private struct Key: Hashable, Sendable {
        var kind: String
        var label: String
        var dimensions: [String]
    }

    private struct State: Sendable {
        var families: [String: Family] = [:]
        var known: [Key: any PrometheusInstrument] = [:]
    }

    private let state = Mutex(State())

    // MARK: Telling

    /// All metrics, in the text format 0.0.4, sorted.
    var text: String {
        // Instruments have locks of their own: this one is held for as long as it takes to list them.
        let families = state.withLock { $0.families }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# TYPE \(name) \(family.kind)\n"
            for (labels, instrument) in family.series.sorted(by: { $0.key < $1.key }) {
                instrument.write(name, labels, to: &text)
            }
        }
        return text
    }

    // MARK: Making

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        instrument(label, dimensions, kind: "counter") { PrometheusCounter() }
    }

    func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        instrument(label, dimensions, kind: "counter") { PrometheusSum() }
    }

    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        instrument(label, dimensions, kind: "gauge") { PrometheusGauge() }
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return instrument(label, dimensions, kind: "gauge") { PrometheusGauge() } }
        return instrument(label, dimensions, kind: "histogram") {
            PrometheusHistogram(bounds: PrometheusHistogram.sizes)
        }
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any CoreMetrics.TimerHandler {
        instrument(label, dimensions, kind: "histogram", unit: "_seconds") {
            PrometheusHistogram(bounds: PrometheusHistogram.seconds)
        }
    }

    private func instrument<I: PrometheusInstrument>(
        _ label: String, _ dimensions: [(String, String)], kind: String, unit: String = "", make: () -> I
    ) -> I {
        let key = Key(kind: kind + unit, label: label, dimensions: dimensions.flatMap { [$0.0, $0.1] })
        return state.withLock { state in
            if let known = state.known[key] as? I { return known }
            let plain = PrometheusText.name(label)
            let name = plain.hasSuffix(unit) ? plain : plain + unit
            let new = state.families.instrument(name, PrometheusText.labels(dimensions), kind: kind, make: make)
            state.known[key] = new
            return new
        }
    }

    // Instruments are shared by all who ask for the same, and nodes have no end of life but the process's.
    func destroyCounter(_: any CounterHandler) {}
    func destroyFloatingPointCounter(_: any FloatingPointCounterHandler) {}
    func destroyMeter(_: any MeterHandler) {}
    func destroyRecorder(_: any RecorderHandler) {}
    func destroyTimer(_: any CoreMetrics.TimerHandler) {}
}

extension [String: PrometheusRegistry.Family] {
    /// The instrument of this name and these labels. One that was made as another kind is left alone, and the new one
    /// counts for nobody: a family has one kind.
    fileprivate mutating func instrument<I: PrometheusInstrument>(
        _ name: String, _ labels: String, kind: String, make: () -> I
    ) -> I {
        var family = self[name] ?? PrometheusRegistry.Family(kind: kind)
        if let known = family.series[labels] as? I { return known }
        let new = make()
        guard family.kind == kind, family.series[labels] == nil else { return new }
        family.series[labels] = new
        self[name] = family
        return new
    }
}

/// How names, labels and numbers are written.
enum PrometheusText {
    /// A metric's name: letters, digits, underscores, colons.
    static func name(_ label: String) -> String { underscored(label) { $0 == ":" } }

    /// `{key="value",…}` without the braces; empty without dimensions.
    static func labels(_ dimensions: [(String, String)]) -> String {
        dimensions.map { "\(underscored($0.0) { _ in false })=\"\(escaped($0.1))\"" }.joined(separator: ",")
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }

    static func line(_ name: String, _ labels: String, _ value: String) -> String {
        labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }

    private static func underscored(_ text: String, _ isAllowedToo: (Character) -> Bool) -> String {
        let name = String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) || isAllowedToo($0) ? $0 : "_" })
        return name.first?.isNumber == true ? "_" + name : name
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for character in value {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n", "\r\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}
