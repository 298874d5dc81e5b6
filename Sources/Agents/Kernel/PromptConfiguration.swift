/// What a prompt folder's `config.json` says, in Semantic Kernel's format.
public struct PromptConfiguration: Sendable, Hashable {
    /// A variable of the template.
    public struct InputVariable: Sendable, Hashable {
        public var name: String
        public var description: String
        /// Used when the argument is missing.
        public var defaultValue: JSONValue?
        /// A call without this argument fails. Only if the file says so: unlike Semantic Kernel, where a missing
        /// required argument silently renders as nothing, it is an error here.
        public var isRequired: Bool
        public var schema: JSONValue
        /// The value is copied into the prompt without encoding: it may contain `<message>` elements.
        public var allowsMarkup: Bool

        public init(
            name: String, description: String = "", defaultValue: JSONValue? = nil, isRequired: Bool = false,
            schema: JSONValue = ["type": "string"], allowsMarkup: Bool = false
        ) {
            self.name = name
            self.description = description
            self.defaultValue = defaultValue
            self.isRequired = isRequired
            self.schema = schema
            self.allowsMarkup = allowsMarkup
        }
    }

    /// The function's name; `nil`: that of the folder.
    public var name: String?
    public var description: String
    /// The template, if it stands in the configuration and not in `skprompt.txt`.
    public var template: String?
    public var inputVariables: [InputVariable]
    /// What the output means.
    public var outputDescription: String
    /// By service id; `default` is for every service without its own.
    public var executionSettings: [String: ExecutionSettings]
    /// All variables and function outputs are copied into the prompt without encoding.
    public var allowsMarkup: Bool

    public init(
        name: String? = nil, description: String = "", template: String? = nil, inputVariables: [InputVariable] = [],
        outputDescription: String = "", executionSettings: [String: ExecutionSettings] = [:],
        allowsMarkup: Bool = false
    ) {
        self.name = name
        self.description = description
        self.template = template
        self.inputVariables = inputVariables
        self.outputDescription = outputDescription
        self.executionSettings = executionSettings
        self.allowsMarkup = allowsMarkup
    }

    /// Reads a `config.json`.
    ///
    /// - Parameters:
    ///   - text: the file's content.
    ///   - file: the file's name for error messages.
    /// - Throws: ``KernelError`` with `badPromptFolder`, naming the file, the key and what is allowed.
    public init(parsing text: String, file: String) throws(KernelError) {
        let document: JSONValue
        do {
            document = try JSONValue(parsing: text)
        } catch {
            throw KernelError(.badPromptFolder, "\(file): \(error.message)", nextStep: "correct the JSON", cause: error)
        }
        self.init()
        let root = try PromptConfigurationReader(document, file: file)
        // `schema`, `type` and `is_sensitive` appear in folders of older Semantic Kernel versions; they decide nothing.
        try root.allowOnly([
            "name", "description", "template_format", "template", "input_variables", "output_variable",
            "execution_settings", "allow_dangerously_set_content", "schema", "type", "is_sensitive",
        ])
        let format = try root.string("template_format") ?? "semantic-kernel"
        guard format == "semantic-kernel" else {
            throw root.problem("template_format", "allowed is \"semantic-kernel\", got \"\(format)\"")
        }
        name = try root.string("name")
        if let name, !name.isTemplateName {
            throw root.problem("name", "one or more of A-Z a-z 0-9 _ are allowed, got \"\(name)\"")
        }
        description = try root.string("description") ?? ""
        template = try root.string("template")
        allowsMarkup = try root.bool("allow_dangerously_set_content") ?? false
        inputVariables = try PromptConfiguration.inputVariables(in: root)
        if let output = try root.object("output_variable") {
            try output.allowOnly(["description", "json_schema"])
            outputDescription = try output.string("description") ?? ""
        }
        for service in try root.object("execution_settings")?.members ?? [] {
            executionSettings[service.key] = try ExecutionSettings(reading: service.value)
        }
    }

    private static func inputVariables(in root: PromptConfigurationReader) throws(KernelError) -> [InputVariable] {
        var variables: [InputVariable] = []
        for element in try root.objects("input_variables") {
            try element.allowOnly([
                "name", "description", "default", "is_required", "json_schema", "allow_dangerously_set_content",
                "is_sensitive",
            ])
            guard let name = try element.string("name"), name.isTemplateName else {
                throw element.problem("name", "one or more of A-Z a-z 0-9 _ are required")
            }
            guard !variables.contains(where: { $0.name.lowercased() == name.lowercased() }) else {
                throw element.problem("name", "the variable \"\(name)\" is described twice")
            }
            variables.append(
                InputVariable(
                    name: name, description: try element.string("description") ?? "",
                    defaultValue: element.value("default"), isRequired: try element.bool("is_required") ?? false,
                    schema: try element.schema("json_schema") ?? ["type": "string"],
                    allowsMarkup: try element.bool("allow_dangerously_set_content") ?? false))
        }
        return variables
    }
}

extension ExecutionSettings {
    /// Reads one member of `execution_settings`. Unknown members go to the model server as they are.
    init(reading settings: PromptConfigurationReader) throws(KernelError) {
        self.init()
        model = try settings.string("model_id")
        temperature = try settings.number("temperature", in: 0...2)
        topP = try settings.number("top_p", in: 0...1)
        maximumTokens = try settings.integer("max_tokens", in: 1...10_000_000).map { Int($0) }
        stopSequences = try settings.strings("stop_sequences") ?? []
        seed = try settings.integer("seed", in: .min ... .max)
        if let format = settings.value("response_format") {
            guard format.objectValue != nil || ["text", "json_object"].contains(format.stringValue) else {
                throw settings.problem(
                    "response_format", "allowed are \"text\", \"json_object\" and an object, got \(format.kind)")
            }
            responseFormat = format
        }
        if let choice = try settings.object("function_choice_behavior") {
            functionChoice = try FunctionChoice(reading: choice)
        }
        let known: Set<String> = [
            "model_id", "temperature", "top_p", "max_tokens", "stop_sequences", "seed", "response_format",
            "function_choice_behavior", "service_id",
        ]
        for (name, value) in settings.values where !known.contains(name) { other[name] = value }
    }
}

extension FunctionChoice {
    /// Reads `function_choice_behavior`.
    fileprivate init(reading choice: PromptConfigurationReader) throws(KernelError) {
        try choice.allowOnly(["type", "functions", "options", "maximum_rounds", "maximum_calls", "maximum_tokens"])
        let type = try choice.string("type") ?? "auto"
        guard let kind = ToolChoice(rawValue: type) else {
            throw choice.problem("type", "allowed are \"auto\", \"required\" and \"none\", got \"\(type)\"")
        }
        self.init(kind, functions: try choice.strings("functions"))
        if let rounds = try choice.integer("maximum_rounds", in: 1...1000) { maximumRounds = Int(rounds) }
        if let calls = try choice.integer("maximum_calls", in: 1...10_000) { maximumCalls = Int(calls) }
        maximumTokens = try choice.integer("maximum_tokens", in: 1...1_000_000_000).map { Int($0) }
    }
}
