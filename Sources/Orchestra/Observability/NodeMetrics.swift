import CoreMetrics
import Foundation
import OrchestraCore

/// What a node tells at `/metrics`: everything that its parts count, and what the process takes.
enum NodeMetrics {
    private static let registry = PrometheusRegistry()

    /// Makes the parts' instruments count from here on. Before the first of them is made; once in a process.
    static func start() { MetricsSystem.bootstrap(registry) }

    /// In Prometheus' text format.
    ///
    /// - Parameters:
    ///   - node: the node's id.
    ///   - role: its role.
    static func text(node: String, role: String) -> String {
        var text = registry.text
        text += "# TYPE orchestra_build_info gauge\n"
        let labels = PrometheusText.labels([("node", node), ("role", role), ("version", orchestraVersion)])
        text += PrometheusText.line("orchestra_build_info", labels, "1")
        return text + processText
    }

    /// The names are those of Prometheus' own client libraries. Only Linux tells; elsewhere there is nothing.
    private static var processText: String {
        guard let process = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            let system = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
            // The name in parentheses may hold anything.
            let fields = process.split(separator: ")").last?.split(separator: " "), fields.count > 21,
            let bootTime = system.split(separator: "\n").first(where: { $0.hasPrefix("btime ") })
                .flatMap({ Double($0.dropFirst(6)) }),
            let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        else { return "" }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let number = { (field: Int) in Double(fields[field]) ?? 0 }
        let figures: [(name: String, kind: String, value: Double)] = [
            ("process_cpu_seconds_total", "counter", (number(11) + number(12)) / ticks),
            ("process_open_fds", "gauge", Double(files.count)),
            ("process_resident_memory_bytes", "gauge", number(21) * Double(sysconf(Int32(_SC_PAGESIZE)))),
            ("process_start_time_seconds", "gauge", bootTime + number(19) / ticks),
        ]
        return figures.map { figure in
            "# TYPE \(figure.name) \(figure.kind)\n"
                + PrometheusText.line(figure.name, "", PrometheusText.number(figure.value))
        }.joined()
    }
}
