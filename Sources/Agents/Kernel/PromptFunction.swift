/// A prompt as a function: its template, what its variables mean, and how the model shall answer.
public struct PromptFunction: Sendable {
    public let configuration: PromptConfiguration
    let template: PromptTemplate

    /// - Parameters:
    ///   - template: the prompt's text in the template language.
    ///   - configuration: describes it; by default its variables are optional strings.
    /// - Throws: ``KernelError`` with `badTemplate`.
    public init(
        template: String, configuration: PromptConfiguration = PromptConfiguration()
    ) throws(KernelError) {
        self.configuration = configuration
        let trusted = configuration.inputVariables.filter(\.allowsMarkup).map(\.name)
        self.template = try PromptTemplate(
            template, trust: PromptTemplate.Trust(variables: Set(trusted), everything: configuration.allowsMarkup))
    }

    /// The settings for a service: its own, else those named `default`, else the only ones.
    func settings(for service: String) -> ExecutionSettings {
        let all = configuration.executionSettings
        return all[service] ?? all["default"] ?? (all.count == 1 ? all.first?.value : nil) ?? ExecutionSettings()
    }

    /// The arguments with defaults filled in.
    ///
    /// - Throws: ``KernelError`` with `badArgument` if a required one is missing.
    func complete(_ arguments: KernelArguments, function: String) throws(KernelError) -> KernelArguments {
        var arguments = arguments
        for variable in configuration.inputVariables where arguments[variable.name] == nil {
            if let value = variable.defaultValue {
                arguments[variable.name] = value
            } else if variable.isRequired {
                throw KernelError(.badArgument, "\(function) needs the argument \(variable.name), which is missing")
            }
        }
        return arguments
    }
}

extension KernelFunction {
    /// A prompt as a function.
    ///
    /// - Parameters:
    ///   - name: one or more of `A-Z a-z 0-9 _`.
    ///   - prompt: the prompt. Variables that only its template mentions become optional parameters.
    public init(_ name: String, prompt: PromptFunction) {
        var parameters = prompt.configuration.inputVariables.map { variable in
            ParameterDescription(
                name: variable.name, description: variable.description, schema: variable.schema,
                isRequired: variable.isRequired && variable.defaultValue == nil, defaultValue: variable.defaultValue)
        }
        let described = Set(parameters.map { $0.name.lowercased() })
        for variable in prompt.template.variables where !described.contains(variable.lowercased()) {
            parameters.append(ParameterDescription(name: variable, isRequired: false))
        }
        self.init(
            name: name, description: prompt.configuration.description, parameters: parameters,
            implementation: .prompt(prompt))
    }
}
