/// Reads what a chat-completions server answers. Lenient where servers differ, strict where a wrong reading would pass
/// for an answer.
enum OpenAIResponseBody {
    /// - Throws: ``KernelError`` with `badResponse`, or what an error object says.
    static func response(_ body: [UInt8], requestedModel: String) throws(KernelError) -> ChatResponse {
        let document: JSONValue
        do {
            document = try JSONValue(parsing: body)
        } catch {
            throw KernelError(.badResponse, "the server's answer is \(error.message)", cause: error, isRetriable: true)
        }
        if let error = failure(in: document, status: nil) { throw error }
        guard let choice = document["choices"]?.arrayValue?.first, let message = choice["message"] else {
            throw KernelError(.badResponse, "the server's answer has no choices[0].message", isRetriable: true)
        }
        var calls: [ToolCall] = []
        for (index, call) in (message["tool_calls"]?.arrayValue ?? []).enumerated() {
            guard let name = call["function"]?["name"]?.stringValue else {
                throw KernelError(.badResponse, "a tool call in the server's answer has no name", isRetriable: true)
            }
            let id = call["id"]?.stringValue ?? "call_\(index)"
            calls.append(ToolCall(id: id, name: name, arguments: arguments(call["function"]?["arguments"])))
        }
        let content = message["content"]?.stringValue ?? message["refusal"]?.stringValue ?? ""
        let reason = choice["finish_reason"]?.stringValue ?? (calls.isEmpty ? "stop" : "tool_calls")
        return ChatResponse(
            message: ChatMessage(.assistant, content, toolCalls: calls),
            finishReason: ChatResponse.FinishReason(rawValue: reason),
            model: document["model"]?.stringValue ?? requestedModel, usage: usage(in: document))
    }

    /// The error that an error response, or an error in the middle of a stream, stands for; `nil` if it is none.
    ///
    /// - Parameter status: the response's status; `nil` inside a response with status 200.
    static func failure(in document: JSONValue, status: Int?) -> KernelError? {
        guard let error = document["error"], error != .null else { return nil }
        let code = error["code"]?.text ?? ""
        let type = error["type"]?.text ?? ""
        let message = error.stringValue ?? error["message"]?.text ?? error.jsonText
        let status = status ?? error["code"]?.integerValue.flatMap { Int(exactly: $0) } ?? 0
        return failure(message, status: status, kind: "\(code) \(type)")
    }

    /// - Parameters:
    ///   - message: the server's words.
    ///   - status: the HTTP status; 0 if unknown.
    ///   - kind: the server's code and type of error.
    static func failure(_ message: String, status: Int, kind: String) -> KernelError {
        let place = status == 0 ? "the model server says" : "the model server answered \(status)"
        let text = "\(place): \(message.prefix(500))"
        let isRetriable = RetryPolicy.isRetriable(status: status, shouldRetry: nil)
        if ["context_length_exceeded", "exceed_context_size_error"].contains(where: { kind.contains($0) }) {
            return KernelError(
                .contextLengthExceeded, text, nextStep: "shorten the text or choose a model with a longer context")
        }
        if kind.contains("insufficient_quota") {
            return KernelError(.rateLimited, text, nextStep: "check the account's quota")
        }
        switch status {
        case 401, 403:
            return KernelError(
                .unauthorized, text, nextStep: "check OPENAI_API_KEY, or the key that the server expects")
        case 404:
            return KernelError(.modelFailed, text, nextStep: "check OPENAI_BASE_URL and OPENAI_MODEL")
        case 429:
            return KernelError(.rateLimited, text, isRetriable: true)
        case 0:
            let passing = ["rate_limit", "server_error", "overloaded", "timeout"].contains { kind.contains($0) }
            return KernelError(.modelFailed, text, isRetriable: passing)
        default:
            return KernelError(.modelFailed, text, isRetriable: isRetriable)
        }
    }

    static func usage(in document: JSONValue) -> TokenUsage? {
        guard let usage = document["usage"], usage.objectValue != nil else { return nil }
        func count(_ name: String) -> Int { max(0, Int(exactly: usage[name]?.integerValue ?? 0) ?? 0) }
        return TokenUsage(inputTokens: count("prompt_tokens"), outputTokens: count("completion_tokens"))
    }

    /// The interface promises a string; some servers send the object itself.
    static func arguments(_ value: JSONValue?) -> String {
        guard let value, value != .null else { return "" }
        return value.text
    }
}
