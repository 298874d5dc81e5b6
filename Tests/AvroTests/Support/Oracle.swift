import Avro
import Foundation
import Testing

/// Runs `Tests/Conformance/avro_oracle.py` with the project's Python environment.
enum Oracle {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    static let projectFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// - Returns: one JSON object for each case.
    static func cases(seed: Int, count: Int) throws -> [JSONValue] {
        let python = projectFolder.appendingPathComponent(".venv/bin/python").path
        guard FileManager.default.isExecutableFile(atPath: python) else {
            throw Failure(description: "\(python) is missing: run scripts/setup, which installs fastavro for this test")
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [
            projectFolder.appendingPathComponent("Tests/Conformance/avro_oracle.py").path, "\(seed)", "\(count)",
            projectFolder.appendingPathComponent("Schemas").path,
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "avro_oracle.py ended with status \(process.terminationStatus), seed \(seed)")
        }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        guard lines.count == count else {
            throw Failure(description: "avro_oracle.py printed \(lines.count) cases, not \(count), seed \(seed)")
        }
        return try lines.map { try JSONParser.parse(String($0)) }
    }
}

extension JSONValue {
    func string(_ name: String) throws -> String {
        guard case .string(let text) = self[name] else { throw Oracle.Failure(description: "no string \"\(name)\"") }
        return text
    }

    func bytes(_ name: String) throws -> [UInt8] { try [UInt8](hexadecimal: string(name)) }
}
