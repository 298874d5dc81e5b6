public import Logging

/// Functions, prompts and a model under one roof: the counterpart of Semantic Kernel's kernel.
///
/// A kernel is a value. Copies share nothing, so a task can add a plugin, a filter or a deadline of its own.
///
/// ```swift
/// var kernel = Kernel(chatCompletion: LocalModel())
/// try kernel.add(KernelPlugin("Clock", functions: [now]))
/// try kernel.addPlugins(inFolder: "Prompts")
/// let summary = try await kernel.invoke("Text", "Summarize", ["input": "…"])
/// ```
public struct Kernel: Sendable {
    /// How deep functions may call each other through the kernel.
    public static let maximumDepth = 16

    /// Answers prompts; `nil`: only native functions work.
    public var chatCompletion: (any ChatCompletion)?
    /// Selects among the `execution_settings` of a prompt.
    public var serviceID: String
    public var filters = KernelFilters()
    /// After this instant functions fail with `deadlineExceeded`; `nil`: never.
    public var deadline: ContinuousClock.Instant?
    public var logger: Logger
    private(set) var depth = 0
    private var pluginsByName: [String: KernelPlugin] = [:]

    /// - Parameters:
    ///   - chatCompletion: answers prompts; `nil` by default.
    ///   - serviceID: selects among the `execution_settings` of a prompt; `default` by default.
    ///   - logger: gets a debug line for every call of a model.
    public init(
        chatCompletion: (any ChatCompletion)? = nil, serviceID: String = "default",
        logger: Logger = Logger(label: "orchestra.kernel")
    ) {
        self.chatCompletion = chatCompletion
        self.serviceID = serviceID
        self.logger = logger
    }

    /// The plugins, sorted by name.
    public var plugins: [KernelPlugin] { pluginsByName.sorted { $0.key < $1.key }.map(\.value) }

    /// Adds a plugin. Functions of a plugin that is there already (in any case) are added to it; those of the same
    /// name are replaced.
    public mutating func add(_ plugin: KernelPlugin) {
        guard var present = pluginsByName[plugin.name.lowercased()] else {
            pluginsByName[plugin.name.lowercased()] = plugin
            return
        }
        for function in plugin.functions { present.replace(with: function) }
        pluginsByName[plugin.name.lowercased()] = present
    }

    /// Adds every plugin of a prompt folder, as ``add(_:)`` does.
    ///
    /// - Throws: ``KernelError`` with `badPromptFolder`.
    public mutating func addPlugins(inFolder directory: String) throws(KernelError) {
        for plugin in try PromptFolder.plugins(in: directory) { add(plugin) }
    }

    /// - Parameters:
    ///   - plugin: the plugin's name in any case; `nil`: the function's name must be unique.
    ///   - function: the function's name in any case.
    /// - Throws: ``KernelError`` with `functionNotFound`, naming what there is.
    public func find(
        _ plugin: String?, _ function: String
    ) throws(KernelError) -> (plugin: KernelPlugin, function: KernelFunction) {
        if let name = plugin {
            guard let plugin = pluginsByName[name.lowercased()] else {
                throw notFound("there is no plugin \(name)", plugins.map(\.name))
            }
            guard let found = plugin.function(named: function) else {
                throw notFound("\(plugin.name) has no function \(function)", plugin.functions.map(\.name))
            }
            return (plugin, found)
        }
        let candidates = plugins.compactMap { plugin in plugin.function(named: function).map { (plugin, $0) } }
        guard let (plugin, found) = candidates.first, candidates.count == 1 else {
            let problem = candidates.isEmpty ? "there is no function \(function)" : "\(function) is in several plugins"
            throw notFound(problem, plugins.flatMap { plugin in plugin.functions.map { "\(plugin.name).\($0.name)" } })
        }
        return (plugin, found)
    }

    /// Calls a function.
    ///
    /// - Parameters:
    ///   - plugin: the plugin's name in any case.
    ///   - function: the function's name in any case.
    ///   - arguments: none by default.
    ///   - settings: replaces the settings that a prompt's configuration gives; `nil` by default.
    ///   - receive: gets a prompt's answer piece by piece as it comes; `nil` by default.
    /// - Throws: ``KernelError``.
    public func invoke(
        _ plugin: String, _ function: String, _ arguments: KernelArguments = KernelArguments(),
        settings: ExecutionSettings? = nil, receive: (@Sendable (String) async throws -> Void)? = nil
    ) async throws(KernelError) -> FunctionResult {
        try await invoke(
            plugin, function, arguments, origin: .code, options: PromptOptions(settings: settings, receive: receive))
    }

    /// Renders a prompt and lets the model answer it.
    ///
    /// - Parameters:
    ///   - template: in the template language; `{{plugin.function}}` calls this kernel's functions.
    ///   - arguments: the values of its variables.
    ///   - settings: how the model shall answer.
    ///   - receive: gets the answer piece by piece as it comes; `nil` by default.
    /// - Throws: ``KernelError``.
    public func invokePrompt(
        _ template: String, _ arguments: KernelArguments = KernelArguments(),
        settings: ExecutionSettings = ExecutionSettings(),
        receive: (@Sendable (String) async throws -> Void)? = nil
    ) async throws(KernelError) -> FunctionResult {
        let prompt = try PromptFunction(template: template)
        return try await answer(
            prompt, arguments, plugin: "", function: "prompt",
            options: PromptOptions(settings: settings, receive: receive))
    }

    /// What a call may say about the answering of a prompt.
    struct PromptOptions: Sendable {
        var settings: ExecutionSettings?
        var receive: (@Sendable (String) async throws -> Void)?
    }

    func invoke(
        _ plugin: String?, _ function: String, _ arguments: KernelArguments, origin: FunctionInvocation.Origin,
        options: PromptOptions = PromptOptions()
    ) async throws(KernelError) -> FunctionResult {
        let found = try find(plugin, function)
        let name = "\(found.plugin.name).\(found.function.name)"
        guard depth < Kernel.maximumDepth else {
            throw KernelError(
                .functionFailed, "\(name): functions call each other more than \(Kernel.maximumDepth) deep",
                nextStep: "look for a prompt or function that calls itself")
        }
        var nested = self
        nested.depth += 1
        let invocation = FunctionInvocation(
            plugin: found.plugin.name, function: found.function.name, origin: origin, arguments: arguments)
        do {
            return try await nested.run(found.function, invocation, options, filter: 0)
        } catch {
            throw KernelError.wrapping(error, in: name)
        }
    }

    private func run(
        _ function: KernelFunction, _ invocation: FunctionInvocation, _ options: PromptOptions, filter index: Int
    ) async throws -> FunctionResult {
        guard index < filters.functions.count else {
            try checkDeadline(before: "\(invocation.plugin).\(invocation.function)")
            switch function.implementation {
            case .native(let body):
                let context = FunctionContext(
                    kernel: self, plugin: invocation.plugin, function: invocation.function,
                    arguments: invocation.arguments)
                return FunctionResult(try await body(context))
            case .prompt(let prompt):
                return try await answer(
                    prompt, invocation.arguments, plugin: invocation.plugin, function: invocation.function,
                    options: options)
            }
        }
        return try await filters.functions[index](invocation) { invocation in
            try await run(function, invocation, options, filter: index + 1)
        }
    }

    /// - Throws: ``KernelError`` with `deadlineExceeded` or `cancelled`.
    func checkDeadline(before step: String) throws(KernelError) {
        guard !Task.isCancelled else { throw KernelError(.cancelled, "cancelled before \(step)") }
        if let deadline, ContinuousClock.now >= deadline {
            throw KernelError(.deadlineExceeded, "the time had passed before \(step)")
        }
    }

    private func notFound(_ problem: String, _ names: [String]) -> KernelError {
        let available = names.isEmpty ? "there is none" : "there are \(names.joined(separator: ", "))"
        return KernelError(.functionNotFound, problem, nextStep: available)
    }
}
