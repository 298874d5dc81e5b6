import Foundation
package import OrchestraCore

extension SchemaGenerator {
    /// Every `.avsc` file of a folder and the folders below it.
    ///
    /// - Parameters:
    ///   - folder: the schema folder.
    ///   - name: what the paths of the files begin with, `Schemas` unless given.
    /// - Throws: ``OrchestraError`` with `notFound` when the folder or a file in it cannot be read.
    package static func schemaFiles(in folder: String, named name: String = "Schemas") throws(OrchestraError)
        -> [SchemaFile]
    {
        var files: [SchemaFile] = []
        for path in try list(folder, recursive: true).sorted() where path.hasSuffix(".avsc") {
            files.append(SchemaFile(path: "\(name)/\(path)", text: try read("\(folder)/\(path)")))
        }
        guard !files.isEmpty else {
            throw OrchestraError(.notFound, "no .avsc file in \(folder)", nextStep: "name the folder with the schemas")
        }
        return files
    }

    /// Writes the Swift files of all schemas, and removes generated files whose schemas are gone.
    ///
    /// - Returns: the names of the files that were written or removed; empty when all were current.
    /// - Throws: ``OrchestraError`` for a wrong schema, or a folder that cannot be read or written.
    package static func generate(schemas: String, into output: String) throws(OrchestraError) -> [String] {
        let files = try schemaFiles(in: schemas)
        let wanted = try generate(files)
        do {
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        } catch {
            throw OrchestraError(.unavailable, "the folder \(output) cannot be made", cause: error)
        }
        let differences = try check(files, against: try swiftFiles(in: output))
        var changed: [String] = []
        for difference in differences {
            do {
                switch difference {
                case .missing(let name), .outdated(let name):
                    try (wanted[name] ?? "").write(toFile: "\(output)/\(name)", atomically: true, encoding: .utf8)
                    changed.append(name)
                case .leftOver(let name):
                    try FileManager.default.removeItem(atPath: "\(output)/\(name)")
                    changed.append(name)
                }
            } catch {
                throw OrchestraError(.unavailable, "\(difference), and \(output) cannot be changed", cause: error)
            }
        }
        return changed
    }

    /// - Returns: how the Swift files in `output` differ from what the schemas ask for; empty when all are current.
    /// - Throws: ``OrchestraError`` for a wrong schema or a folder that cannot be read.
    package static func check(schemas: String, output: String) throws(OrchestraError) -> [Difference] {
        try check(try schemaFiles(in: schemas), against: try swiftFiles(in: output))
    }

    private static func swiftFiles(in folder: String) throws(OrchestraError) -> [String: String] {
        var texts: [String: String] = [:]
        for name in try list(folder, recursive: false) where name.hasSuffix(".swift") {
            texts[name] = try read("\(folder)/\(name)")
        }
        return texts
    }

    private static func list(_ folder: String, recursive: Bool) throws(OrchestraError) -> [String] {
        do {
            return recursive
                ? try FileManager.default.subpathsOfDirectory(atPath: folder)
                : try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw OrchestraError(.notFound, "the folder \(folder) cannot be read", cause: error)
        }
    }

    private static func read(_ path: String) throws(OrchestraError) -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw OrchestraError(.notFound, "\(path) cannot be read as UTF-8 text", cause: error)
        }
    }
}
