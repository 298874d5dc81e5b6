/// The model for when there is none: an ``ExtractiveSummarizer`` behind the interface of a chat completion.
///
/// It follows no instructions and calls no functions. It summarises the argument `input` of the prompt, or else the last user
/// message. The setting `max_tokens` bounds the summary's length at four characters a token.
public struct LocalModel: ChatCompletion {
    public static let name = "local"

    public init() {}

    public var providerName: String { "orchestra" }
    public var defaultModel: String { LocalModel.name }

    public func complete(_ request: ChatRequest) async throws(KernelError) -> ChatResponse {
        guard let text = request.input ?? request.messages.last(where: { $0.role == .user })?.content else {
            throw KernelError(
                .badArgument, "the local model was asked without a user message",
                nextStep: "give the prompt an argument input or a user message")
        }
        var summarizer = ExtractiveSummarizer()
        if let tokens = request.settings.maximumTokens { summarizer.maximumLength = min(max(tokens, 20), 1000) * 4 }
        return ChatResponse(
            message: .assistant(summarizer.summarize(text)), finishReason: .stop, model: LocalModel.name)
    }
}
