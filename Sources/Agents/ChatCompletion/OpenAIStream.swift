/// Puts the chunks of a streamed answer together, without any I/O.
struct OpenAIStream {
    private struct PartialCall {
        var id = ""
        var name = ""
        var arguments = ""
    }

    /// All that one answer may hold: 16 MiB of text and arguments.
    static let maximumSize = 16 << 20

    private let requestedModel: String
    private var content = ""
    private var calls: [Int64: PartialCall] = [:]
    private var finishReason: String?
    private var model: String?
    private var usage: TokenUsage?
    private var size = 0
    private(set) var isDone = false

    init(requestedModel: String) {
        self.requestedModel = requestedModel
    }

    /// Takes the data of one event.
    ///
    /// - Returns: the piece of text that it brings; empty for none.
    /// - Throws: ``KernelError``: what an error object says, or `badResponse`.
    mutating func receive(_ data: [UInt8]) throws(KernelError) -> String {
        guard !isDone else { return "" }
        if data.elementsEqual("[DONE]".utf8) {
            isDone = true
            return ""
        }
        let chunk: JSONValue
        do {
            chunk = try JSONValue(parsing: data)
        } catch {
            throw KernelError(
                .badResponse, "a chunk of the server's stream is \(error.message)", cause: error, isRetriable: true)
        }
        if let error = OpenAIResponseBody.failure(in: chunk, status: nil) { throw error }
        model = model ?? chunk["model"]?.stringValue
        usage = OpenAIResponseBody.usage(in: chunk) ?? usage
        // The chunk with the usage has no choices.
        guard let choice = chunk["choices"]?.arrayValue?.first else { return "" }
        finishReason = choice["finish_reason"]?.stringValue ?? finishReason
        size += data.count
        guard size <= OpenAIStream.maximumSize else {
            throw KernelError(.badResponse, "the server's answer is larger than \(OpenAIStream.maximumSize) bytes")
        }
        for (position, delta) in (choice["delta"]?["tool_calls"]?.arrayValue ?? []).enumerated() {
            merge(delta, at: delta["index"]?.integerValue ?? Int64(position))
        }
        let text = choice["delta"]?["content"]?.stringValue ?? ""
        content += text
        return text
    }

    /// The answer, once the stream has ended.
    ///
    /// - Throws: ``KernelError`` with `connectionFailed` if the stream broke off: without a finish reason nobody can
    ///   know that the answer is whole.
    func finish() throws(KernelError) -> ChatResponse {
        guard let finishReason else {
            throw KernelError(
                .connectionFailed, "the server's stream broke off after \(content.utf8.count) bytes of text",
                isRetriable: true)
        }
        var toolCalls: [ToolCall] = []
        for (index, call) in calls.sorted(by: { $0.key < $1.key }) {
            guard !call.name.isEmpty else {
                throw KernelError(.badResponse, "a tool call in the server's stream has no name", isRetriable: true)
            }
            let id = call.id.isEmpty ? "call_\(index)" : call.id
            toolCalls.append(ToolCall(id: id, name: call.name, arguments: call.arguments))
        }
        return ChatResponse(
            message: ChatMessage(.assistant, content, toolCalls: toolCalls),
            finishReason: ChatResponse.FinishReason(rawValue: finishReason), model: model ?? requestedModel,
            usage: usage)
    }

    private mutating func merge(_ delta: JSONValue, at index: Int64) {
        var call = calls[index] ?? PartialCall()
        // Id and name come with the first delta of a call; some servers repeat them.
        if call.id.isEmpty { call.id = delta["id"]?.stringValue ?? "" }
        if call.name.isEmpty { call.name = delta["function"]?["name"]?.stringValue ?? "" }
        call.arguments += OpenAIResponseBody.arguments(delta["function"]?["arguments"])
        calls[index] = call
    }
}
