/// Something that the kernel can call by name: Swift code (a native function) or a prompt (a semantic function).
public struct KernelFunction: Sendable {
    /// Describes a parameter to people and models.
    public struct ParameterDescription: Sendable, Hashable {
        public var name: String
        public var description: String
        /// A JSON schema of the value.
        public var schema: JSONValue
        public var isRequired: Bool
        public var defaultValue: JSONValue?

        public init(
            name: String, description: String = "", schema: JSONValue = ["type": "string"], isRequired: Bool = true,
            defaultValue: JSONValue? = nil
        ) {
            self.name = name
            self.description = description
            self.schema = schema
            self.isRequired = isRequired
            self.defaultValue = defaultValue
        }
    }

    enum Implementation: Sendable {
        case native(@Sendable (FunctionContext) async throws -> JSONValue)
        case prompt(PromptFunction)
    }

    /// `A-Z a-z 0-9 _`.
    public let name: String
    /// What it does, for people and models.
    public let description: String
    public let parameters: [ParameterDescription]
    let implementation: Implementation

    init(
        name: String, description: String, parameters: [ParameterDescription], implementation: Implementation
    ) {
        self.name = name
        self.description = description
        self.parameters = parameters
        self.implementation = implementation
    }

    /// The JSON schema of the arguments object.
    public var argumentsSchema: JSONValue {
        var properties: [String: JSONValue] = [:]
        for parameter in parameters {
            var schema = parameter.schema.objectValue ?? [:]
            if !parameter.description.isEmpty { schema["description"] = .string(parameter.description) }
            if let value = parameter.defaultValue, value != .null { schema["default"] = value }
            properties[parameter.name] = .object(schema)
        }
        let required = parameters.filter(\.isRequired).map { JSONValue.string($0.name) }
        return ["type": "object", "properties": .object(properties), "required": .array(required)]
    }
}

/// What a native function sees of its call.
public struct FunctionContext: Sendable {
    /// To call other functions; its deadline is that of the task.
    public let kernel: Kernel
    public let plugin: String
    public let function: String
    public let arguments: KernelArguments
}

/// What a function returned.
public struct FunctionResult: Sendable, Hashable {
    public var value: JSONValue
    /// The model that wrote it; `nil` for native functions.
    public var model: String?
    /// All requests to the model together.
    public var usage: TokenUsage?
    /// `length` means that the text is cut off.
    public var finishReason: ChatResponse.FinishReason?
    /// The conversation after a prompt was answered, tool calls included; empty for native functions.
    public var messages: [ChatMessage]

    /// What people and prompts see.
    public var text: String { value.text }

    public init(
        _ value: JSONValue, model: String? = nil, usage: TokenUsage? = nil,
        finishReason: ChatResponse.FinishReason? = nil, messages: [ChatMessage] = []
    ) {
        self.value = value
        self.model = model
        self.usage = usage
        self.finishReason = finishReason
        self.messages = messages
    }
}

/// Functions under a common name.
public struct KernelPlugin: Sendable {
    /// `A-Z a-z 0-9 _`.
    public let name: String
    public let description: String
    public private(set) var functions: [KernelFunction]

    /// - Parameters:
    ///   - name: one or more of `A-Z a-z 0-9 _`.
    ///   - description: what the plugin is for; empty by default.
    ///   - functions: of several with the same name (in any case) the last one counts.
    /// - Throws: ``KernelError`` with `badName` if the plugin's or a function's name is not allowed.
    public init(_ name: String, description: String = "", functions: [KernelFunction]) throws(KernelError) {
        self.name = name
        self.description = description
        self.functions = []
        try KernelPlugin.check(name, kind: "plugin")
        for function in functions {
            try KernelPlugin.check(function.name, kind: "function")
            replace(with: function)
        }
    }

    /// - Returns: the function of that name in any case.
    public func function(named name: String) -> KernelFunction? {
        functions.first { $0.name.lowercased() == name.lowercased() }
    }

    /// Adds a function, or replaces the one of the same name.
    mutating func replace(with function: KernelFunction) {
        functions.removeAll { $0.name.lowercased() == function.name.lowercased() }
        functions.append(function)
    }

    private static func check(_ name: String, kind: String) throws(KernelError) {
        guard name.isTemplateName else {
            throw KernelError(
                .badName, "\"\(name)\" cannot name a \(kind)", nextStep: "use one or more of A-Z a-z 0-9 _")
        }
    }
}
