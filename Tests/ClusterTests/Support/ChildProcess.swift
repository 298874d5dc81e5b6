import Foundation
import Synchronization

/// A real process whose output is collected.
final class ChildProcess: Sendable {
    struct Result: Sendable {
        var status: Int32
        var output: String
        var errors: String
    }

    private let process = Process()
    private let output = Mutex(Data())
    private let errors: URL
    private let finished = Mutex(false)
    private let hasAllOutput = Mutex(false)

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: the executable.
    ///   - arguments: its arguments.
    ///   - environment: added to this process's own.
    ///   - folder: where it runs, and where its standard error is kept.
    init(_ program: URL, _ arguments: [String], environment: [String: String] = [:], folder: URL) throws {
        errors = folder.appending(path: "stderr-\(UUID().uuidString.prefix(8)).log")
        try Data().write(to: errors)
        process.executableURL = program
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: errors)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.terminationHandler = { [self] _ in finished.withLock { $0 = true } }
        pipe.fileHandleForReading.readabilityHandler = { [self] handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                hasAllOutput.withLock { $0 = true }
            } else {
                output.withLock { $0 += data }
            }
        }
        try process.run()
    }

    var pid: Int32 { process.processIdentifier }
    var isRunning: Bool { !finished.withLock { $0 } }
    var standardOutput: String { output.withLock { String(decoding: $0, as: UTF8.self) } }
    var standardError: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

    func send(signal: Int32) { kill(pid, signal) }

    /// Waits for the end of the process.
    func result(within limit: Duration) async throws -> Result {
        try await eventually("end of process \(pid)", within: limit) {
            isRunning ? "it still runs; its errors end: \(standardError.suffix(2000))" : nil
        }
        // What it wrote last may still be on its way. A child of its own may hold its output open for longer.
        let deadline = ContinuousClock.now + .seconds(5)
        while !hasAllOutput.withLock({ $0 }), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        return Result(status: process.terminationStatus, output: standardOutput, errors: standardError)
    }
}
