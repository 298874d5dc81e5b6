import ArgumentParser
import Foundation
import Orchestra
import OrchestraCore

/// `probe`: calls one grain at a steady rate, whatever became of the calls before, and records each call.
///
/// It writes a line of JSON for each call when it has ended: when it was due to begin, when it ended (nanoseconds of the
/// machine's monotonic clock), and its error if there was one.
struct ProbeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "probe")

    @OptionGroup var silos: SiloOptions
    @Option(help: "The key of the counter that is called.") var key: String
    @Option(help: "Calls a second.") var rate = 100.0
    @Option(help: "How long.") var seconds: Double
    @Option(help: "The file that gets the results.") var output: String
    @Flag(help: "Read only; without it each call adds 1.") var query = false

    private struct Result: Encodable {
        var begin: UInt64
        var end: UInt64
        var value: Int?
        var error: String?
    }

    func run() async throws {
        let interval = Duration.seconds(1 / rate)
        let history = try History(path: output)
        try await silos.withCalls { calls in
            await withDiscardingTaskGroup { group in
                var due = ContinuousClock.now
                let end = due + .seconds(seconds)
                while due < end {
                    group.addTask { history.add(await call(calls)) }
                    due += interval
                    try? await Task.sleep(until: due, clock: .continuous)
                }
            }
        }
        history.close()
    }

    private func call(_ calls: SiloCalls) async -> Result {
        var result = Result(begin: History.now(), end: 0)
        do throws(OrchestraError) {
            result.value =
                query
                ? try await calls.ask(Counter.Read(), of: Counter.type, key: key)
                : try await calls.send(
                    Counter.Add(amount: 1), to: Counter.type, key: key, requestID: UUID().uuidString)
        } catch {
            result.error = "\(error.code): \(error.message)"
        }
        result.end = History.now()
        return result
    }
}
