import Foundation
import OrchestraCore

/// Tells a person, or with `--json` a program, what happens to the cluster.
///
/// With `--json` standard output gets exactly one line, once everything is ready; the rest goes to standard error.
struct ConsoleReporter: ClusterReporter {
    let printsJSON: Bool

    func begin(dataDirectory: String) {
        say("Orchestra \(orchestraVersion), data in \(dataDirectory). Starting:")
    }

    func end() { say("Stopped.") }

    func report(_ notice: Supervisor.Notice, _ report: ClusterReport) {
        switch notice {
        case .ready(let name, let time):
            let process = report.pid.map { "pid \($0)" } ?? ""
            say("  \(pad(name, 12)) \(pad(process, 12)) \(pad(time.secondsText, 8)) \(report.place)")
        case .clusterReady(let time):
            clusterReady(report.state, after: time)
        case .slowToStart(let name, let waiting):
            say("  \(name) is not ready after \(waiting.secondsText); its last log line:")
            say("    " + (report.lastLines.last ?? "(none)"))
        case .died(let name, let exit, let delay, let restarts):
            died(name, exit, restartIn: delay, restarts: restarts, report)
        case .recovered(let name, let time):
            let process = report.pid.map { "pid \($0)" } ?? ""
            say("  \(pad(name, 12)) \(pad(process, 12)) \(pad(time.secondsText, 8)) ready again")
        case .stopping(let name):
            say("  stopping \(name)")
        case .stopped(let name, let exit):
            if exit != .code(0), exit != .signal(SIGTERM) {
                say("  \(name) \(exit) while stopping; see \(report.logPath ?? "its log")")
            }
        case .killing(let name, .graceTimePassed):
            say("  \(name) did not stop in time: killing it")
        case .killing(let name, .askedTwice):
            say("  killing \(name)")
        }
    }

    func warn(_ message: String) { Console.printError("warning: \(message)") }

    private func died(
        _ name: String, _ exit: ProcessExit, restartIn delay: Duration, restarts: Int, _ report: ClusterReport
    ) {
        say("! \(name) \(exit); starting it again in \(delay.secondsText) (restart \(restarts))")
        if let reason = report.reason {
            say("    \(reason)")
        } else if !report.lastLines.isEmpty {
            say("  its last log lines (\(report.logPath ?? "")):")
            for line in report.lastLines { say("    \(line)") }
        }
    }

    private func clusterReady(_ state: ClusterState, after time: Duration) {
        guard !printsJSON else {
            let line = (try? state.json()).map { String(decoding: $0, as: UTF8.self) } ?? "{\"ready\":true}"
            return Console.print(line)
        }
        let gateway = state.gateways.first ?? ""
        let directory = state.dataDirectory == ".orchestra" ? "" : " --data-dir \(state.dataDirectory.shellQuoted)"
        var lines = ["", "Ready after \(time.secondsText).", ""]
        for gateway in state.gateways { lines.append("  gateway   \(gateway)") }
        lines += [
            "  kafka     \(state.kafka)", "  registry  \(state.registry)",
            "  logs      \(state.dataDirectory)/logs",
        ]
        if !gateway.isEmpty {
            lines += [
                "  metrics   \(gateway)/metrics; the others' addresses are in \(state.dataDirectory)/cluster.json",
                "", "Summarize a text:", "",
                "  \(programName.shellQuoted) run\(directory) --file README.md", "",
                "  curl -s \(gateway)/v1/workflows -H 'content-type: application/json' \\",
                "    -d '{\"workflow\":\"summarize\",\"input\":\"Kafka is a log. Grains are actors. Agents do the work.\"}'",
                "  curl -s '\(gateway)/v1/workflows/WORKFLOW_ID?wait=30s'",
            ]
        }
        lines += ["", "Ctrl-C stops everything; the data stays in \(state.dataDirectory)."]
        Console.print(lines.joined(separator: "\n"))
    }

    private func say(_ line: String) {
        if printsJSON { Console.printError(line) } else { Console.print(line) }
    }

    private func pad(_ text: String, _ length: Int) -> String {
        text.count >= length ? text : text + String(repeating: " ", count: length - text.count)
    }
}
