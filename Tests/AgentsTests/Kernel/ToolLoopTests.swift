import Testing

@testable import Agents

@Suite("The tool-calling loop")
struct ToolLoopTests {
    private func kernel(_ chat: ScriptedChat) throws -> Kernel {
        var kernel = Kernel(chatCompletion: chat)
        kernel.add(try textPlugin())
        return kernel
    }

    private func ask(_ chat: ScriptedChat, _ choice: FunctionChoice) async throws -> FunctionResult {
        try await kernel(chat).chat([.user("go")], settings: ExecutionSettings(functionChoice: choice))
    }

    @Test("every call gets a result, names are repaired, the answer and the tokens come back")
    func loop() async throws {
        let chat = ScriptedChat(
            .calls(("text-upper", #"{"input":"a"}"#), ("text_upper", #"{"INPUT":"b"}"#), tokens: 10),
            .calls(("Text.Join", #"{"first":"x","second":"y"}"#), tokens: 20),
            .text("done", tokens: 30))
        let result = try await ask(chat, FunctionChoice(.auto))
        #expect(result.text == "done")
        #expect(result.usage == TokenUsage(inputTokens: 60, outputTokens: 3))
        let answers = result.messages.filter { $0.role == .tool }
        #expect(answers.map(\.content) == ["A", "B", "x+y"])
        #expect(answers.map(\.toolCallID) == ["id0", "id1", "id0"])
        #expect(chat.requests.map(\.toolChoice) == [.auto, .auto, .auto])
        #expect(chat.requests[0].tools.map(\.name) == ["text-upper", "text-join", "text-fail", "text-echo"])
    }

    @Test("a failure is a text that the model can correct")
    func failures() async throws {
        let chat = ScriptedChat(
            .calls(
                ("text-fail", "{}"), ("text-lower", "{}"), ("text-upper", "{bad"), ("text-upper", "[]"),
                ("text-upper", "")),
            .text("sorry"))
        let result = try await ask(chat, FunctionChoice(.auto))
        let answers = result.messages.filter { $0.role == .tool }.map(\.content)
        #expect(answers.count == 5)
        #expect(answers[0] == "Error: no luck today")
        #expect(answers[1].hasPrefix("Error: there is no function text-lower; there are text-upper"))
        #expect(answers[2].hasPrefix("Error: not a JSON document"))
        #expect(answers[3] == "Error: the arguments must be one JSON object, got an array")
        #expect(answers[4] == "Error: text.upper needs the argument input, which is missing")
    }

    @Test("required holds for the first request only")
    func required() async throws {
        let chat = ScriptedChat(.calls(("text-upper", #"{"input":"a"}"#)), .text("ok"))
        _ = try await ask(chat, FunctionChoice(.required))
        #expect(chat.requests.map(\.toolChoice) == [.required, .auto])
    }

    @Test("none shows the functions but lets none be called")
    func none() async throws {
        let chat = ScriptedChat(.text("ok"))
        _ = try await ask(chat, FunctionChoice(.none, functions: ["text.upper"]))
        #expect(chat.requests[0].toolChoice == ToolChoice.none)
        #expect(chat.requests[0].tools.map(\.name) == ["text-upper"])
        let disobedient = ScriptedChat(.calls(("text-upper", "{}")))
        let error = await errorOf { () async throws(KernelError) in
            try await Kernel(chatCompletion: disobedient).chat([.user("go")])
        }
        #expect(error?.code == .toolLoopStopped)
    }

    @Test("only the functions on offer can be called")
    func restricted() async throws {
        let chat = ScriptedChat(.calls(("text-fail", "{}")), .text("ok"))
        let result = try await ask(chat, FunctionChoice(.auto, functions: ["text.upper"]))
        #expect(result.messages[2].content.hasPrefix("Error: there is no function text-fail"))
        let error = await errorOf { () async throws(KernelError) in
            try await kernelWithText().chat(
                [.user("go")], settings: ExecutionSettings(functionChoice: FunctionChoice(.auto, functions: ["a.b"])))
        }
        #expect(error?.code == .functionNotFound)
    }

    private func kernelWithText() throws(KernelError) -> Kernel {
        do { return try kernel(ScriptedChat()) } catch { throw KernelError.wrapping(error, in: "test") }
    }

    @Test("after the last round the model must answer")
    func rounds() async throws {
        let chat = ScriptedChat(
            .calls(("text-upper", #"{"input":"1"}"#)), .calls(("text-upper", #"{"input":"2"}"#)), .text("enough"))
        let result = try await ask(chat, FunctionChoice(.auto, maximumRounds: 2))
        #expect(result.text == "enough")
        #expect(chat.requests.map(\.toolChoice) == [.auto, .auto, .none])
        let stubborn = ScriptedChat(
            .calls(("text-upper", #"{"input":"1"}"#)), .calls(("text-upper", #"{"input":"2"}"#)))
        await #expect(throws: KernelError.self) { try await ask(stubborn, FunctionChoice(.auto, maximumRounds: 1)) }
        #expect(stubborn.requests.count == 2)
    }

    @Test("the third identical call in a row is not made and closes the loop")
    func repetition() async throws {
        let same = ChatResponse.calls(("text-upper", #"{"input":"a"}"#))
        let reordered = ChatResponse.calls(("text-upper", #"{ "input" : "a" }"#))
        let chat = ScriptedChat(same, reordered, same, .text("fine"))
        let result = try await ask(chat, FunctionChoice(.auto))
        let answers = result.messages.filter { $0.role == .tool }.map(\.content)
        #expect(answers[0...1] == ["A", "A"])
        #expect(answers[2].contains("3 times in a row"))
        #expect(chat.requests.last?.toolChoice == ToolChoice.none)
        let different = ScriptedChat(same, .calls(("text-upper", #"{"input":"b"}"#)), same, same, .text("fine"))
        _ = try await ask(different, FunctionChoice(.auto))
        #expect(different.requests.last?.toolChoice == .auto)
    }

    @Test("calls and tokens are capped")
    func caps() async throws {
        let chat = ScriptedChat(
            .calls(
                ("text-upper", #"{"input":"1"}"#), ("text-upper", #"{"input":"2"}"#), ("text-upper", #"{"input":"3"}"#)),
            .text("ok"))
        let result = try await ask(chat, FunctionChoice(.auto, maximumCalls: 2))
        #expect(
            result.messages.filter { $0.role == .tool }.map { $0.content.hasPrefix("Error") } == [false, false, true])
        #expect(chat.requests.last?.toolChoice == ToolChoice.none)
        let costly = ScriptedChat(.calls(("text-upper", #"{"input":"1"}"#), tokens: 1000), .text("ok"))
        await #expect(throws: KernelError.self) { try await ask(costly, FunctionChoice(.auto, maximumTokens: 500)) }
        #expect(costly.requests.count == 1)
    }

    @Test("function filters see the model's calls")
    func filters() async throws {
        let chat = ScriptedChat(.calls(("text-upper", #"{"input":"a"}"#)), .text("ok"))
        var kernel = try kernel(chat)
        let origins = Recorder<FunctionInvocation.Origin>()
        kernel.filters.functions.append { invocation, next in
            origins.append(invocation.origin)
            return try await next(invocation)
        }
        _ = try await kernel.chat(
            [.user("go")], settings: ExecutionSettings(functionChoice: FunctionChoice(.auto)))
        #expect(origins.values == [.model(callID: "id0", round: 1)])
    }
}
