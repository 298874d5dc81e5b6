/// The functions that a model may ask for, and how the names it writes lead back to them.
struct ToolCatalog {
    private struct Entry {
        var definition: ToolDefinition
        var plugin: String
        var function: String
    }

    private let entries: [Entry]

    /// - Parameters:
    ///   - plugins: the kernel's.
    ///   - allowed: functions as `plugin.function` (or with `-`); `nil`: all.
    /// - Throws: ``KernelError`` with `functionNotFound` if one of `allowed` does not exist.
    init(_ plugins: [KernelPlugin], allowed: [String]?) throws(KernelError) {
        let all = plugins.flatMap { plugin in
            plugin.functions.map { function in
                let definition = ToolDefinition(
                    name: "\(plugin.name)-\(function.name)", description: function.description,
                    parameters: function.argumentsSchema)
                return Entry(definition: definition, plugin: plugin.name, function: function.name)
            }
        }
        guard let allowed else {
            entries = all
            return
        }
        var chosen: [Entry] = []
        for name in allowed {
            guard let entry = ToolCatalog.entry(for: name, in: all) else {
                throw KernelError(
                    .functionNotFound, "the settings offer the model a function \(name), which does not exist",
                    nextStep: ToolCatalog.list(all))
            }
            chosen.append(entry)
        }
        entries = chosen
    }

    var definitions: [ToolDefinition] { entries.map(\.definition) }

    /// What there is, in words.
    var summary: String { ToolCatalog.list(entries) }

    /// Finds the function that a model means: by its exact name, else without regard to case and separators (models
    /// write `_` or `.` for `-` at times), as long as only one function fits.
    func function(named name: String) -> (plugin: String, function: String)? {
        ToolCatalog.entry(for: name, in: entries).map { ($0.plugin, $0.function) }
    }

    private static func entry(for name: String, in entries: [Entry]) -> Entry? {
        if let exact = entries.first(where: { $0.definition.name == name }) { return exact }
        let wanted = comparable(name)
        let fitting = entries.filter { comparable($0.definition.name) == wanted }
        if fitting.count == 1 { return fitting[0] }
        let byFunction = entries.filter { comparable($0.function) == wanted }
        return fitting.isEmpty && byFunction.count == 1 ? byFunction[0] : nil
    }

    private static func comparable(_ name: String) -> String {
        name.lowercased().filter { !"-_. ".contains($0) }
    }

    private static func list(_ entries: [Entry]) -> String {
        entries.isEmpty ? "there is none" : "there are \(entries.map(\.definition.name).joined(separator: ", "))"
    }
}
