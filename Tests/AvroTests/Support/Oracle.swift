import Avro
import Foundation
import Testing

/// Runs `Tests/Conformance/avro_oracle.py` with the project's Python environment.
enum Oracle {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// What fastavro is asked for; see the script.
    enum Kind: String {
        case plain, evolution, conflict, record, evolved
    }

    static let projectFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// - Returns: the parts of each case.
    static func cases(_ kind: Kind, seed: Int, count: Int) throws -> [[String]] {
        let schemas = projectFolder.appendingPathComponent("Schemas").path
        let lines = try run([kind.rawValue, "\(seed)", "\(count)", schemas], input: "", count: count)
        return lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
    }

    /// - Parameter cases: a schema and data each.
    /// - Returns: the values as fastavro reads them, in the notation of ``AvroValue/rendered``.
    static func decode(_ cases: [(schema: String, data: [UInt8])]) throws -> [String] {
        let lines = cases.map { $0.schema + "\t" + $0.data.hexadecimal + "\n" }
        return try run(["decode"], input: lines.joined(), count: cases.count)
    }

    private static func run(_ arguments: [String], input: String, count: Int) throws -> [String] {
        let python = projectFolder.appendingPathComponent(".venv/bin/python").path
        guard FileManager.default.isExecutableFile(atPath: python) else {
            throw Failure(description: "\(python) is missing: run scripts/setup, which installs fastavro for this test")
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("oracle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("input")
        try Data(input.utf8).write(to: file)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [projectFolder.appendingPathComponent("Tests/Conformance/avro_oracle.py").path] + arguments
        process.standardInput = try FileHandle(forReadingFrom: file)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "avro_oracle.py \(arguments) ended with status \(process.terminationStatus)")
        }
        let lines = data.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        guard lines.count == count else {
            throw Failure(description: "avro_oracle.py \(arguments) printed \(lines.count) cases, not \(count)")
        }
        return lines
    }
}
