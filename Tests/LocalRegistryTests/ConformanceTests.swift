import Foundation
import Testing

/// `Tests/Conformance/registry_conformance.py`, which drives the registry with Confluent's client, against the
/// registry in this process.
@Suite(.timeLimit(.minutes(5))) struct ConformanceTests {
    private static let projectFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    @Test("Confluent's client finds what it expects")
    func confluentClient() async throws {
        let python = Self.projectFolder.appendingPathComponent(".venv/bin/python")
        try #require(
            FileManager.default.isExecutableFile(atPath: python.path),
            "\(python.path) is missing: run scripts/setup --tests, which installs Confluent's client")
        try await RunningRegistry.withFolder { folder in
            try await RunningRegistry.run(in: folder) { client in
                let report = folder.appendingPathComponent("report")
                let status = try await run(
                    python, ["Tests/Conformance/registry_conformance.py", "--registry", client.url], output: report)
                let text = try String(contentsOf: report, encoding: .utf8)
                #expect(status == 0, "\(text)")
                #expect(text.contains("checks passed"), "\(text)")
            }
        }
    }

    /// - Returns: the exit status.
    private func run(_ program: URL, _ arguments: [String], output: URL) async throws -> Int32 {
        try Data().write(to: output)
        let file = try FileHandle(forWritingTo: output)
        defer { try? file.close() }
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.currentDirectoryURL = Self.projectFolder
        process.standardOutput = file
        process.standardError = file
        return try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
    }
}
