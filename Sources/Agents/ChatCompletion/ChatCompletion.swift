/// A model that continues a conversation.
///
/// Orchestra brings ``OpenAIChatCompletion`` (any server that speaks OpenAI's chat completions) and ``LocalModel``;
/// an application may bring its own.
public protocol ChatCompletion: Sendable {
    /// The provider as OpenTelemetry names it, `openai` for example.
    var providerName: String { get }
    /// The model that answers when a request's settings name none.
    var defaultModel: String { get }

    /// Asks for one answer.
    ///
    /// - Throws: ``KernelError``; `isRetriable` tells whether the same request may succeed later.
    func complete(_ request: ChatRequest) async throws(KernelError) -> ChatResponse

    /// Asks for one answer and hands over its text as it comes.
    ///
    /// - Parameters:
    ///   - request: what to answer.
    ///   - receive: called with each piece of text, in order; the next piece is read only when it has returned.
    ///     An error that it throws ends the request.
    /// - Returns: the whole answer, as ``complete(_:)`` would.
    /// - Throws: ``KernelError``; a stream that breaks off is an error even if text has come.
    func stream(
        _ request: ChatRequest, receive: @Sendable (String) async throws -> Void
    ) async throws(KernelError) -> ChatResponse
}

extension ChatCompletion {
    /// For models that cannot stream: the answer as one piece.
    public func stream(
        _ request: ChatRequest, receive: @Sendable (String) async throws -> Void
    ) async throws(KernelError) -> ChatResponse {
        let response = try await complete(request)
        do {
            if !response.message.content.isEmpty { try await receive(response.message.content) }
        } catch {
            throw KernelError.wrapping(error, in: "the receiver of the stream")
        }
        return response
    }
}

/// A message of a conversation.
public struct ChatMessage: Sendable, Hashable {
    /// Who speaks.
    public enum Role: String, Sendable, Hashable {
        case system, developer, user, assistant, tool
    }

    public var role: Role
    public var content: String
    /// The speaker's name, if the conversation has several of one role.
    public var name: String?
    /// What an assistant asks to be called.
    public var toolCalls: [ToolCall]
    /// For the role `tool`: which call this answers.
    public var toolCallID: String?

    public init(
        _ role: Role, _ content: String, name: String? = nil, toolCalls: [ToolCall] = [], toolCallID: String? = nil
    ) {
        self.role = role
        self.content = content
        self.name = name
        self.toolCalls = toolCalls
        self.toolCallID = toolCallID
    }

    public static func system(_ content: String) -> ChatMessage { ChatMessage(.system, content) }
    public static func user(_ content: String) -> ChatMessage { ChatMessage(.user, content) }
    public static func assistant(_ content: String) -> ChatMessage { ChatMessage(.assistant, content) }
}

/// A model's wish that a function be called.
public struct ToolCall: Sendable, Hashable {
    /// Names the call in the conversation; the result refers to it.
    public var id: String
    /// As the model wrote it, for example `plugin-function`.
    public var name: String
    /// JSON text as the model wrote it: it may be malformed.
    public var arguments: String

    public init(id: String, name: String, arguments: String) {
        self.id = id
        self.name = name
        self.arguments = arguments
    }
}

/// A function that a model may ask for.
public struct ToolDefinition: Sendable, Hashable {
    public var name: String
    public var description: String
    /// A JSON schema of the arguments object.
    public var parameters: JSONValue

    public init(name: String, description: String, parameters: JSONValue) {
        self.name = name
        self.description = description
        self.parameters = parameters
    }
}

/// Whether a model may, must or must not ask for functions.
public enum ToolChoice: String, Sendable, Hashable {
    case auto, required, none
}

/// What a model is asked.
public struct ChatRequest: Sendable {
    public var messages: [ChatMessage]
    public var settings: ExecutionSettings
    public var tools: [ToolDefinition]
    public var toolChoice: ToolChoice
    /// The value of the argument `input` of the prompt that made this request, if it went into the messages
    /// unchanged. A model that cannot follow instructions, such as ``LocalModel``, works on it.
    public var input: String?
    /// How long the answer may take; `nil` leaves the model's own limit.
    public var timeLeft: Duration?

    public init(
        messages: [ChatMessage], settings: ExecutionSettings = ExecutionSettings(), tools: [ToolDefinition] = [],
        toolChoice: ToolChoice = .auto, input: String? = nil, timeLeft: Duration? = nil
    ) {
        self.messages = messages
        self.settings = settings
        self.tools = tools
        self.toolChoice = toolChoice
        self.input = input
        self.timeLeft = timeLeft
    }
}

/// A model's answer.
public struct ChatResponse: Sendable, Hashable {
    /// Why a model stopped.
    public struct FinishReason: RawRepresentable, Sendable, Hashable {
        public var rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        /// It had said everything.
        public static let stop = FinishReason(rawValue: "stop")
        /// It reached the limit of tokens: the text is cut off.
        public static let length = FinishReason(rawValue: "length")
        /// It asks for functions.
        public static let toolCalls = FinishReason(rawValue: "tool_calls")
        /// The server withheld text.
        public static let contentFilter = FinishReason(rawValue: "content_filter")
    }

    public var message: ChatMessage
    public var finishReason: FinishReason
    /// The model that answered, as it calls itself.
    public var model: String
    /// `nil` when the server does not count.
    public var usage: TokenUsage?

    public init(message: ChatMessage, finishReason: FinishReason, model: String, usage: TokenUsage? = nil) {
        self.message = message
        self.finishReason = finishReason
        self.model = model
        self.usage = usage
    }
}

/// How many tokens a model read and wrote.
public struct TokenUsage: Sendable, Hashable {
    public var inputTokens: Int
    public var outputTokens: Int

    public init(inputTokens: Int, outputTokens: Int) {
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }

    /// Both together; sticks to the largest number instead of overflowing on a server's nonsense.
    public var totalTokens: Int {
        let (sum, overflow) = inputTokens.addingReportingOverflow(outputTokens)
        return overflow ? .max : sum
    }
}
