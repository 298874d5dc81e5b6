import Synchronization

@testable import Agents

/// A model that answers from a script and remembers what it was asked.
final class ScriptedChat: ChatCompletion {
    private struct State {
        var answers: [Result<ChatResponse, KernelError>]
        var requests: [ChatRequest] = []
    }

    private let state: Mutex<State>

    init(_ answers: [Result<ChatResponse, KernelError>]) {
        state = Mutex(State(answers: answers))
    }

    convenience init(_ answers: ChatResponse...) {
        self.init(answers.map { .success($0) })
    }

    let providerName = "scripted"
    let defaultModel = "script"

    var requests: [ChatRequest] { state.withLock { $0.requests } }

    func complete(_ request: ChatRequest) async throws(KernelError) -> ChatResponse {
        let answer: Result<ChatResponse, KernelError>? = state.withLock { state in
            state.requests.append(request)
            return state.answers.isEmpty ? nil : state.answers.removeFirst()
        }
        guard let answer else { throw KernelError(.badResponse, "the script has ended") }
        return try answer.get()
    }
}

extension ChatResponse {
    static func text(_ text: String, tokens: Int? = nil) -> ChatResponse {
        ChatResponse(
            message: .assistant(text), finishReason: .stop, model: "script-1",
            usage: tokens.map { TokenUsage(inputTokens: $0, outputTokens: 1) })
    }

    static func calls(_ calls: (name: String, arguments: String)..., tokens: Int? = nil) -> ChatResponse {
        let toolCalls = calls.enumerated().map { index, call in
            ToolCall(id: "id\(index)", name: call.name, arguments: call.arguments)
        }
        return ChatResponse(
            message: ChatMessage(.assistant, "", toolCalls: toolCalls), finishReason: .toolCalls, model: "script-1",
            usage: tokens.map { TokenUsage(inputTokens: $0, outputTokens: 1) })
    }
}

/// Remembers values across concurrent calls.
final class Recorder<Value: Sendable>: Sendable {
    private let storage = Mutex<[Value]>([])

    var values: [Value] { storage.withLock { $0 } }

    func append(_ value: Value) { storage.withLock { $0.append(value) } }
}

/// The error that a body throws; records an issue if it throws none.
func errorOf<Success>(_ body: () async throws(KernelError) -> Success) async -> KernelError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// The plugin `text` with `upper`, `join` and `fail`.
func textPlugin() throws -> KernelPlugin {
    try KernelPlugin(
        "text",
        functions: [
            KernelFunction("upper", "Upper case.", FunctionParameter("input", "A text.")) { $0.uppercased() },
            KernelFunction(
                "join", "Joins two texts.", FunctionParameter("first"), FunctionParameter("second", default: "?")
            ) { first, second in "\(first)+\(second)" },
            KernelFunction("fail", "Always fails.") { (_: FunctionContext) -> String in
                throw KernelError(.functionFailed, "no luck today")
            },
            KernelFunction("echo", "Says its arguments.") { (context: FunctionContext) in context.arguments.json },
        ])
}
