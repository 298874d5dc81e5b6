import ArgumentParser
import Foundation
import Orchestra

/// `probe`: adds to a few counters at a steady rate, whatever became of the additions before, and records each one.
///
/// It writes a line of JSON for each addition when it has ended: when it began and ended (nanoseconds of the machine's
/// monotonic clock), how often it was tried, and its error if there was one. Like every client of a cluster it tries
/// again under the same request id while its deadline lasts.
struct ProbeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "probe")

    @OptionGroup var silos: SiloOptions
    @Option(help: "The keys of the counters, separated by commas.") var keys: String
    @Option(help: "Calls of each counter a second.") var rate = 100.0
    @Option(help: "How long.") var seconds: Double
    @Option(help: "How long one addition is tried again, in seconds.") var deadline = 10.0
    @Option(help: "The file that gets the results.") var output: String

    private struct Result: Encodable {
        var key: String
        var begin: UInt64
        var end: UInt64
        var attempts: Int
        var error: String?
    }

    func run() async throws {
        let interval = Duration.seconds(1 / rate)
        let history = try History(path: output)
        try await silos.withCalls { calls in
            await withDiscardingTaskGroup { group in
                for key in keys.split(separator: ",").map(String.init) {
                    group.addTask { await probe(key, calls, history, every: interval) }
                }
            }
        }
        history.close()
    }

    private func probe(_ key: String, _ calls: SiloCalls, _ history: History, every interval: Duration) async {
        await withDiscardingTaskGroup { group in
            var due = ContinuousClock.now
            let end = due + .seconds(seconds)
            while due < end {
                group.addTask { history.add(await call(key, calls)) }
                due += interval
                try? await Task.sleep(until: due, clock: .continuous)
            }
        }
    }

    private func call(_ key: String, _ calls: SiloCalls) async -> Result {
        let begin = History.now()
        let operation = Operation(
            key: key, action: .add(1), patience: .seconds(deadline), pause: .milliseconds(10)...(.milliseconds(60)))
        let (outcome, attempts) = await operation.run(on: calls)
        var result = Result(key: key, begin: begin, end: History.now(), attempts: attempts)
        switch outcome {
        case .ok: break
        case .failed(let error), .unknown(let error): result.error = error
        }
        return result
    }
}
