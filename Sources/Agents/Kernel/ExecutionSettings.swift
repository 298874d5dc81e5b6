/// How a model shall answer. What is `nil` is left to the model server.
public struct ExecutionSettings: Sendable, Hashable {
    /// The model; `nil`: the default of the chat completion.
    public var model: String?
    /// 0 (always the likeliest word) to 2.
    public var temperature: Double?
    /// 0 to 1.
    public var topP: Double?
    /// The most tokens that the answer may have, at least 1.
    public var maximumTokens: Int?
    /// Texts that end the answer.
    public var stopSequences: [String]
    /// Asks for the same answer to the same request.
    public var seed: Int64?
    /// `text`, `json_object`, or the server's object with a JSON schema.
    public var responseFormat: JSONValue?
    /// Which functions the model may ask for; `nil`: none.
    public var functionChoice: FunctionChoice?
    /// Further members of the request, passed to the server as they are.
    public var other: [String: JSONValue]

    public init(
        model: String? = nil, temperature: Double? = nil, topP: Double? = nil, maximumTokens: Int? = nil,
        stopSequences: [String] = [], seed: Int64? = nil, responseFormat: JSONValue? = nil,
        functionChoice: FunctionChoice? = nil, other: [String: JSONValue] = [:]
    ) {
        self.model = model
        self.temperature = temperature
        self.topP = topP
        self.maximumTokens = maximumTokens
        self.stopSequences = stopSequences
        self.seed = seed
        self.responseFormat = responseFormat
        self.functionChoice = functionChoice
        self.other = other
    }
}

/// Which of the kernel's functions a model may ask for, and how far that may go.
public struct FunctionChoice: Sendable, Hashable {
    /// `required` holds for the first request only: else the model could never answer.
    public var choice: ToolChoice
    /// Functions as `plugin.function`; `nil`: all of the kernel's.
    public var functions: [String]?
    /// How often the model may ask before it must answer. Default 10.
    public var maximumRounds: Int
    /// How many functions may be called in all. Default 50.
    public var maximumCalls: Int
    /// How many tokens all requests together may use; `nil`: no limit.
    public var maximumTokens: Int?

    public init(
        _ choice: ToolChoice, functions: [String]? = nil, maximumRounds: Int = 10, maximumCalls: Int = 50,
        maximumTokens: Int? = nil
    ) {
        self.choice = choice
        self.functions = functions
        self.maximumRounds = maximumRounds
        self.maximumCalls = maximumCalls
        self.maximumTokens = maximumTokens
    }
}
