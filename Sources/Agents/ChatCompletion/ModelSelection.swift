package import HTTPClient

/// Which model answers prompts, as the environment says.
package enum ModelSelection {
    /// Used with OpenAI's own server when `OPENAI_MODEL` is not set.
    package static let defaultOpenAIModel = "gpt-4o-mini"

    /// With `OPENAI_API_KEY` or `OPENAI_BASE_URL` set, a model behind that server; else the ``LocalModel``.
    ///
    /// - Parameters:
    ///   - environment: `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`, `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`;
    ///     empty values count as unset.
    ///   - model: goes before `OPENAI_MODEL`; `local` chooses the ``LocalModel`` whatever else is set.
    ///   - http: sends the requests.
    /// - Throws: ``KernelError`` with `badConfiguration`.
    package static func chatCompletion(
        environment: [String: String], model: String? = nil, http: HTTPClient
    ) throws(KernelError) -> any ChatCompletion {
        func setting(_ name: String) -> String? {
            environment[name].map { $0.trimmingWhiteSpace() }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let apiKey = setting("OPENAI_API_KEY")
        let baseURL = setting("OPENAI_BASE_URL")
        let model = model ?? setting("OPENAI_MODEL")
        guard apiKey != nil || baseURL != nil else {
            if let model, model != LocalModel.name {
                throw KernelError(
                    .badConfiguration, "the model \"\(model)\" needs a server, and none is set",
                    nextStep: "set OPENAI_API_KEY or OPENAI_BASE_URL, or choose the model \"\(LocalModel.name)\"")
            }
            return LocalModel()
        }
        guard model != LocalModel.name else { return LocalModel() }
        if let baseURL, !baseURL.hasPrefix("http://"), !baseURL.hasPrefix("https://") {
            throw KernelError(
                .badConfiguration, "OPENAI_BASE_URL is \"\(baseURL)\"",
                nextStep: "it must begin with http:// or https://, for example http://127.0.0.1:8080/v1")
        }
        return OpenAIChatCompletion(
            OpenAIChatCompletion.Configuration(
                baseURL: baseURL ?? "https://api.openai.com/v1", apiKey: apiKey, model: model ?? defaultOpenAIModel,
                organization: setting("OPENAI_ORG_ID"), project: setting("OPENAI_PROJECT_ID")),
            http: http)
    }
}
