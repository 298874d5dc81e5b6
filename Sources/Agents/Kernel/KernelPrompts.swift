extension Kernel {
    /// Renders a prompt through the filters and lets the model answer.
    func answer(
        _ prompt: PromptFunction, _ arguments: KernelArguments, plugin: String, function: String,
        options: PromptOptions
    ) async throws(KernelError) -> FunctionResult {
        let name = plugin.isEmpty ? function : "\(plugin).\(function)"
        let rendered: RenderedPrompt
        do {
            let rendering = PromptRendering(
                plugin: plugin, function: function, arguments: try prompt.complete(arguments, function: name))
            rendered = try await render(prompt, rendering, filter: 0)
        } catch {
            throw KernelError.wrapping(error, in: "rendering \(name)")
        }
        return try await chat(
            ChatMarkup.messages(in: rendered.text), settings: options.settings ?? prompt.settings(for: serviceID),
            input: rendered.input, receive: options.receive)
    }

    private func render(
        _ prompt: PromptFunction, _ rendering: PromptRendering, filter index: Int
    ) async throws -> RenderedPrompt {
        guard index < filters.prompts.count else {
            let text = try await prompt.template.render(rendering.arguments, functions: callFromTemplate)
            let usesInput = prompt.template.variables.contains { $0.lowercased() == "input" }
            return RenderedPrompt(text, input: usesInput ? rendering.arguments["input"]?.text : nil)
        }
        return try await filters.prompts[index](rendering) { rendering in
            try await render(prompt, rendering, filter: index + 1)
        }
    }

    /// `{{plugin.function 'a' b=$c}}`: the function sees the prompt's arguments and, over them, those of the call.
    private func callFromTemplate(
        _ call: TemplateCall, _ arguments: KernelArguments
    ) async throws(KernelError) -> String {
        let found = try find(call.plugin, call.function)
        var merged = arguments
        func value(_ value: TemplateCall.Value) -> JSONValue {
            switch value {
            case .literal(let text): .string(text)
            case .variable(let name): arguments[name] ?? ""
            }
        }
        if let positional = call.positional {
            guard let parameter = found.function.parameters.first else {
                throw KernelError(
                    .badArgument,
                    "\(found.plugin.name).\(found.function.name) takes no arguments, the template gives one")
            }
            merged[parameter.name] = value(positional)
        }
        for (name, argument) in call.named { merged[name] = value(argument) }
        return try await invoke(found.plugin.name, found.function.name, merged, origin: .template).text
    }
}
