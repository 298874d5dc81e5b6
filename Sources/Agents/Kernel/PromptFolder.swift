#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Prompt folders on disk: `Plugin/Function/skprompt.txt`, each with an optional `config.json` beside it.
public enum PromptFolder {
    /// The largest prompt or configuration file that is read: 1 MiB.
    public static let maximumFileSize = 1 << 20

    /// Loads every plugin below a folder.
    ///
    /// - Parameter directory: the folder that holds the plugins' folders. Hidden entries and plain files are skipped.
    /// - Returns: the plugins, sorted by name.
    /// - Throws: ``KernelError`` with `badPromptFolder`; the message names the file or folder, the key, and what is
    ///   allowed.
    public static func plugins(in directory: String) throws(KernelError) -> [KernelPlugin] {
        var plugins: [KernelPlugin] = []
        for name in try folders(in: directory) {
            plugins.append(try plugin(at: "\(directory)/\(name)", named: name))
        }
        guard !plugins.isEmpty else {
            throw KernelError(
                .badPromptFolder, "\(directory): there is no plugin in this folder",
                nextStep: "it must contain Plugin/Function/skprompt.txt")
        }
        return plugins
    }

    /// Loads one plugin.
    ///
    /// - Parameters:
    ///   - directory: the folder that holds the functions' folders.
    ///   - name: the plugin's name.
    /// - Throws: ``KernelError`` with `badPromptFolder`.
    public static func plugin(at directory: String, named name: String) throws(KernelError) -> KernelPlugin {
        try checkName(name, of: directory)
        var functions: [KernelFunction] = []
        for function in try folders(in: directory) {
            functions.append(try self.function(at: "\(directory)/\(function)", named: function))
        }
        guard !functions.isEmpty else {
            throw KernelError(
                .badPromptFolder, "\(directory): there is no function in this plugin's folder",
                nextStep: "it must contain Function/skprompt.txt")
        }
        return try KernelPlugin(name, functions: functions)
    }

    /// Loads one function.
    ///
    /// - Parameters:
    ///   - directory: the folder that holds `skprompt.txt` and, optionally, `config.json`.
    ///   - name: the function's name unless `config.json` gives another.
    /// - Throws: ``KernelError`` with `badPromptFolder`.
    public static func function(at directory: String, named name: String) throws(KernelError) -> KernelFunction {
        try checkName(name, of: directory)
        let file = "\(directory)/config.json"
        let configuration =
            try read(file).map { text throws(KernelError) in try PromptConfiguration(parsing: text, file: file) }
        let promptFile = "\(directory)/skprompt.txt"
        guard let template = try read(promptFile) ?? configuration?.template else {
            throw KernelError(
                .badPromptFolder, "\(promptFile) is missing",
                nextStep: "write the prompt there, or under the key template of config.json")
        }
        return try function(named: name, template: template, configuration: configuration, file: promptFile)
    }

    static func function(
        named name: String, template: String, configuration: PromptConfiguration?, file: String
    ) throws(KernelError) -> KernelFunction {
        let configuration = configuration ?? PromptConfiguration()
        do {
            let prompt = try PromptFunction(template: template, configuration: configuration)
            return KernelFunction(configuration.name ?? name, prompt: prompt)
        } catch {
            throw KernelError(
                .badPromptFolder, "\(file): \(error.message)", nextStep: error.nextStep, cause: error)
        }
    }

    private static func checkName(_ name: String, of directory: String) throws(KernelError) {
        guard name.isTemplateName else {
            throw KernelError(
                .badPromptFolder, "\(directory): the folder's name cannot name a plugin or function",
                nextStep: "use one or more of A-Z a-z 0-9 _")
        }
    }

    /// The names of the visible folders in a folder, sorted.
    private static func folders(in directory: String) throws(KernelError) -> [String] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw KernelError(
                .badPromptFolder, "\(directory): cannot be read as a folder", nextStep: "name an existing folder",
                cause: error)
        }
        return names.sorted().filter { name in
            var isDirectory = false
            let exists = FileManager.default.fileExists(atPath: "\(directory)/\(name)", isDirectory: &isDirectory)
            return exists && isDirectory && !name.hasPrefix(".")
        }
    }

    /// - Returns: the file's text; `nil` if there is no such file.
    private static func read(_ file: String) throws(KernelError) -> String? {
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        let bytes: Data
        do {
            let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? UInt64 ?? 0
            guard size <= UInt64(maximumFileSize) else {
                throw KernelError(.badPromptFolder, "\(file): \(size) bytes; allowed are \(maximumFileSize)")
            }
            bytes = try Data(contentsOf: URL(filePath: file))
        } catch let error as KernelError {
            throw error
        } catch {
            throw KernelError(.badPromptFolder, "\(file): cannot be read: \(error)", cause: error)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw KernelError(.badPromptFolder, "\(file): the text is not UTF-8", nextStep: "save it as UTF-8")
        }
        return text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
    }
}
