public import HTTPClient
public import Logging

extension Kernel {
    /// The kernel that agents get unless the application gives another: the built-in prompts, the plugin
    /// `Statistics`, and the model that the environment chooses: an OpenAI-compatible server if
    /// `OPENAI_API_KEY` or `OPENAI_BASE_URL` is set, else the ``LocalModel``.
    ///
    /// - Parameters:
    ///   - environment: where the settings are read.
    ///   - model: goes before `OPENAI_MODEL`; `local` chooses the ``LocalModel``.
    ///   - promptFolder: a folder with further plugins; its functions replace built-in ones of the same name.
    ///   - http: sends the requests to the server; closed by its owner.
    ///   - logger: gets a debug line for every call of a model.
    /// - Throws: ``KernelError`` with `badConfiguration` or `badPromptFolder`.
    public static func standard(
        environment: [String: String], model: String? = nil, promptFolder: String? = nil, http: HTTPClient,
        logger: Logger
    ) throws(KernelError) -> Kernel {
        var kernel = Kernel(
            chatCompletion: try ModelSelection.chatCompletion(environment: environment, model: model, http: http),
            logger: logger)
        for plugin in try EmbeddedPrompts.plugins() { kernel.add(plugin) }
        kernel.add(try TextStatistics.plugin())
        if let promptFolder { try kernel.addPlugins(inFolder: promptFolder) }
        return kernel
    }
}

extension Agent {
    /// Summarises its input with the prompt `Text.Summarize` and adds a line of `Statistics.Describe`.
    public static let summarizer = Agent("summarizer", description: "Summarizes a text and says how long it is.") {
        context in
        let summary = try await context.invoke("Text", "Summarize")
        let statistics = try await context.invoke("Statistics", "Describe")
        return "\(summary)\n\n\(statistics)"
    }
}
