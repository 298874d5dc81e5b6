import ArgumentParser
import Foundation
import Orchestra
import OrchestraCore

/// `readback`: reads every grain of a history once more and adds what it sees to the history.
struct ReadbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "readback")

    @OptionGroup var silos: SiloOptions
    @Option(help: "The file with the history; it is appended to.") var history: String
    @Option(help: "How long one grain is tried, in seconds.") var patience = 60.0

    private struct Line: Decodable {
        var key: String?
    }

    func run() async throws {
        var keys: Set<String> = []
        for line in try String(contentsOfFile: history, encoding: .utf8).split(separator: "\n") {
            if let key = try JSONDecoder().decode(Line.self, from: Data(line.utf8)).key { keys.insert(key) }
        }
        let grains = try keys.sorted().map { try GrainID(parsing: $0) }
        let history = try History(path: history)
        try await silos.withCalls { calls in
            let recorder = OperationRecorder(calls: calls, history: history)
            for grain in grains {
                let operation = Operation(
                    key: grain.key, action: grain.type == Counter.type ? .readCounter : .readRegister,
                    patience: .seconds(patience))
                guard await recorder.perform(operation) != nil else {
                    history.close()
                    FileHandle.standardError.write(Data("\(grain) did not answer within \(patience) s\n".utf8))
                    throw ExitCode.failure
                }
            }
        }
        history.close()
    }
}
