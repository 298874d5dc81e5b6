import CoreMetrics
import Testing

@testable import Orchestra

/// What monitoring reads. That Prometheus' own parser takes it is tested with a cluster.
@Suite struct PrometheusRegistryTests {
    @Test func countersAndGaugesAreTold() {
        let registry = PrometheusRegistry()
        CoreMetrics.Counter(label: "orchestra_b_total", dimensions: [("kind", "x")], factory: registry).increment(by: 2)
        CoreMetrics.Counter(label: "orchestra_b_total", dimensions: [("kind", "x")], factory: registry).increment()
        CoreMetrics.Counter(label: "orchestra_b_total", dimensions: [("kind", "a")], factory: registry).increment()
        let gauge = Gauge(label: "orchestra_a", factory: registry)
        gauge.record(7)
        gauge.record(2.5)
        #expect(
            registry.text == """
                # TYPE orchestra_a gauge
                orchestra_a 2.5
                # TYPE orchestra_b_total counter
                orchestra_b_total{kind="a"} 1
                orchestra_b_total{kind="x"} 3

                """)
    }

    @Test func timersAreHistogramsInSeconds() {
        let registry = PrometheusRegistry()
        let timer = CoreMetrics.Timer(label: "gen_ai.client.operation.duration", factory: registry)
        timer.recordNanoseconds(500_000)
        timer.recordNanoseconds(30_000_000_000)
        let lines = registry.text.split(separator: "\n")
        let name = "gen_ai_client_operation_duration_seconds"
        #expect(lines.first == "# TYPE \(name) histogram")
        #expect(lines.contains(#"\#(name)_bucket{le="0.0005"} 1"#), "a bound is within its bucket")
        #expect(lines.contains(#"\#(name)_bucket{le="10"} 1"#))
        #expect(lines.contains(#"\#(name)_bucket{le="+Inf"} 2"#))
        #expect(lines.suffix(2) == ["\(name)_sum 30.0005", "\(name)_count 2"])
        #expect(lines.count == PrometheusHistogram.seconds.count + 4)
    }

    @Test func sizesAreHistogramsWithTheirLabels() {
        let registry = PrometheusRegistry()
        Recorder(label: "sizes", dimensions: [("a", "b")], factory: registry).record(5)
        #expect(registry.text.contains(#"sizes_bucket{a="b",le="4"} 0"#))
        #expect(registry.text.contains(#"sizes_bucket{a="b",le="16"} 1"#))
        #expect(registry.text.contains(#"sizes_sum{a="b"} 5"#))
    }

    @Test func valuesOfLabelsAreEscaped() {
        let registry = PrometheusRegistry()
        CoreMetrics.Counter(label: "c", dimensions: [("path.name", "a\"b\\c\nd")], factory: registry).increment()
        #expect(registry.text.contains(#"c{path_name="a\"b\\c\nd"} 1"#))
    }

    @Test func namesThatPrometheusDoesNotKnowAreMended() {
        #expect(PrometheusText.name("9 lives/é") == "_9_lives__")
        #expect(PrometheusText.number(.infinity) == "+Inf")
        #expect(PrometheusText.number(.nan) == "NaN")
        #expect(PrometheusText.number(1e20) == "1e+20")
        #expect(PrometheusText.number(-3) == "-3")
    }

    @Test func aNameHasOneKind() {
        let registry = PrometheusRegistry()
        CoreMetrics.Counter(label: "x", factory: registry).increment()
        Gauge(label: "x", factory: registry).record(9)
        #expect(registry.text == "# TYPE x counter\nx 1\n")
    }

    @Test func aNodeTellsWhatItIsAndWhatItTakes() {
        let text = NodeMetrics.text(node: "silo-1", role: "silo")
        #expect(text.contains(#"orchestra_build_info{node="silo-1",role="silo",version="\#(orchestraVersion)"} 1"#))
        for name in ["process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"] {
            #expect(text.contains("\n\(name) "))
        }
    }
}
