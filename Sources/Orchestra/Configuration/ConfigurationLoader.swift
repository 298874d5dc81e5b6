import Foundation
import OrchestraCore

/// Reads the three sources and puts them on top of each other.
struct ConfigurationLoader {
    /// The file that is read when nobody names one; it may be missing.
    static let defaultFile = "orchestra.json"

    var flags: [ConfigurationFlag] = []
    /// `--config`; it must exist. `nil`: `ORCHESTRA_CONFIG`, else ``defaultFile`` in the working directory.
    var file: String?
    var environment: [String: String] = ProcessInfo.processInfo.environment
    var workingDirectory = FileManager.default.currentDirectoryPath

    /// - Throws: ``ConfigurationProblems`` that name everything that is wrong.
    func load() throws(ConfigurationProblems) -> ResolvedConfiguration {
        var layers = [ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment)]
        let path = try readFile(into: &layers)
        return try ResolvedConfiguration(layers: layers, filePath: path)
    }

    private func readFile(into layers: inout [ConfigurationLayer]) throws(ConfigurationProblems) -> String? {
        let named = file ?? environment[ConfigurationLayer.fileVariable]
        let path = named ?? Self.defaultFile
        let url = URL(fileURLWithPath: path, relativeTo: URL(fileURLWithPath: workingDirectory, isDirectory: true))
        guard named != nil || FileManager.default.fileExists(atPath: url.path) else { return nil }
        do {
            layers.append(try ConfigurationLayer(file: path, json: Data(contentsOf: url)))
        } catch let error as OrchestraError {
            throw ConfigurationProblems(messages: [error.message + "; " + (error.nextStep ?? "")])
        } catch {
            let source =
                file != nil ? "--config" : named != nil ? ConfigurationLayer.fileVariable : "the working directory"
            throw ConfigurationProblems(
                messages: ["cannot read \(path) (named by \(source)): \(error.localizedDescription)"])
        }
        return path
    }
}
