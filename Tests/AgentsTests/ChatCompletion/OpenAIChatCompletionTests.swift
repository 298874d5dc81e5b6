import HTTPClient
import Testing

@testable import Agents

@Suite("The OpenAI connector")
struct OpenAIChatCompletionTests {
    private static let answer = """
        {"model":"m-1","choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],
         "usage":{"prompt_tokens":3,"completion_tokens":1}}
        """

    /// Runs `body` with a connector to a server that answers with `steps`.
    private func withServer<Result>(
        _ steps: [ScriptedServer.Step], _ body: (OpenAIChatCompletion, ScriptedServer) async throws -> Result
    ) async throws -> Result {
        let server = ScriptedServer(steps)
        return try await server.run { url in
            let http = HTTPClient()
            var chat = OpenAIChatCompletion(
                .init(baseURL: url + "/v1/", apiKey: "secret", model: "m", organization: "org", project: "proj"),
                http: http)
            chat.retryPolicy.firstDelay = .milliseconds(1)
            do {
                let result = try await body(chat, server)
                await http.close()
                return result
            } catch {
                await http.close()
                throw error
            }
        }
    }

    private func error(_ steps: ScriptedServer.Step..., isStreaming: Bool = false) async throws -> (KernelError?, Int) {
        try await withServer(steps) { chat, server in
            let request = ChatRequest(messages: [.user("Hi")])
            let error = await errorOf { () async throws(KernelError) in
                isStreaming ? try await chat.stream(request) { _ in } : try await chat.complete(request)
            }
            return (error, server.requests.count)
        }
    }

    @Test("sends what the interface asks for and reads the answer")
    func complete() async throws {
        let settings = ExecutionSettings(
            temperature: 0.5, maximumTokens: 9, stopSequences: ["E"], seed: 4, responseFormat: "json_object",
            other: ["user": "u"])
        let tool = ToolDefinition(name: "p-f", description: "d", parameters: ["type": "object"])
        try await withServer([.json(Self.answer)]) { chat, server in
            let call = ToolCall(id: "1", name: "p-f", arguments: "{}")
            let response = try await chat.complete(
                ChatRequest(
                    messages: [
                        .system("s"), .user("Hi\0\"\u{1F600}"), ChatMessage(.assistant, "", toolCalls: [call]),
                        ChatMessage(.tool, "r", toolCallID: "1"),
                    ], settings: settings, tools: [tool], toolChoice: .required))
            #expect(response.message == .assistant("Hi"))
            #expect(response.finishReason == .stop)
            #expect(response.model == "m-1")
            #expect(response.usage == TokenUsage(inputTokens: 3, outputTokens: 1))
            let request = try #require(server.requests.first)
            #expect(request.path == "/v1/chat/completions")
            #expect(request.headers["authorization"] == "Bearer secret")
            #expect(request.headers["openai-organization"] == "org")
            #expect(request.headers["openai-project"] == "proj")
            let expected: JSONValue = [
                "model": "m", "temperature": 0.5, "max_tokens": 9, "stop": ["E"], "seed": 4, "user": "u",
                "response_format": ["type": "json_object"], "tool_choice": "required",
                "tools": [
                    [
                        "type": "function",
                        "function": ["name": "p-f", "description": "d", "parameters": ["type": "object"]],
                    ]
                ],
                "messages": [
                    ["role": "system", "content": "s"], ["role": "user", "content": "Hi\0\"\u{1F600}"],
                    [
                        "role": "assistant", "content": nil,
                        "tool_calls": [
                            ["id": "1", "type": "function", "function": ["name": "p-f", "arguments": "{}"]]
                        ],
                    ],
                    ["role": "tool", "content": "r", "tool_call_id": "1"],
                ],
            ]
            #expect(try JSONValue(parsing: request.body) == expected)
        }
    }

    @Test("waits as long as the server asks, then tries again")
    func retryAfter() async throws {
        let limited = ScriptedServer.Step.response(
            status: 429, headers: [("retry-after-ms", "150")], body: #"{"error":{"message":"slow down","code":429}}"#)
        let started = ContinuousClock.now
        let requests = try await withServer([limited, .response(status: 503, body: ""), .json(Self.answer)]) {
            chat, server in
            _ = try await chat.complete(ChatRequest(messages: [.user("Hi")]))
            return server.requests.count
        }
        #expect(requests == 3)
        #expect(started.duration(to: .now) >= .milliseconds(150))
    }

    @Test("gives up after three attempts, on long waits, and when told so")
    func givingUp() async throws {
        let busy = ScriptedServer.Step.response(status: 500, body: #"{"error":"busy"}"#)
        let (error, count) = try await error(busy, busy, busy, busy)
        #expect(count == 3)
        #expect(error?.code == .modelFailed)
        #expect(error?.isRetriable == true)
        #expect(error?.message == "the model server answered 500: busy (after 3 attempts)")
        let slow = ScriptedServer.Step.response(status: 429, headers: [("Retry-After", "500")], body: "")
        let (limited, attempts) = try await self.error(slow, busy)
        #expect(attempts == 1)
        #expect(limited?.code == .rateLimited)
        let stop = ScriptedServer.Step.response(status: 500, headers: [("x-should-retry", "false")], body: "")
        #expect(try await self.error(stop, busy).1 == 1)
        let goOn = ScriptedServer.Step.response(status: 400, headers: [("x-should-retry", "true")], body: "")
        #expect(try await self.error(goOn, goOn, goOn).1 == 3)
    }

    @Test("errors keep the server's words and say what to do")
    func errors() async throws {
        let refused = ScriptedServer.Step.response(
            status: 401,
            body: #"{"error":{"message":"bad key","type":"invalid_request_error","code":"invalid_api_key"}}"#)
        let (unauthorized, count) = try await error(refused)
        #expect(count == 1)
        #expect(unauthorized?.code == .unauthorized)
        #expect(unauthorized?.message.contains("bad key") == true)
        #expect(unauthorized?.nextStep?.contains("OPENAI_API_KEY") == true)
        let long = ScriptedServer.Step.response(
            status: 400, body: #"{"error":{"message":"too long","type":"exceed_context_size_error","code":400}}"#)
        #expect(try await error(long).0?.code == .contextLengthExceeded)
        let quota = ScriptedServer.Step.response(
            status: 429, body: #"{"error":{"message":"no money","code":"insufficient_quota"}}"#)
        #expect(try await error(quota).1 == 1)
        #expect(try await error(.json("{}"), .json("[]"), .json("no")).0?.code == .badResponse)
        #expect(
            try await error(.json(#"{"error":{"message":"inner","code":"x"}}"#)).0?.message
                == "the model server says: inner")
    }

    @Test("a server that is away or hangs up is tried again")
    func connection() async throws {
        let (error, count) = try await error(
            .raw([]), .raw(["HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"cho"]), .raw([]))
        #expect(count == 3)
        #expect(error?.code == .connectionFailed)
        #expect(error?.isRetriable == true)
        let http = HTTPClient()
        var nowhere = OpenAIChatCompletion(.init(baseURL: "http://127.0.0.1:1/v1", model: "m"), http: http)
        nowhere.retryPolicy.firstDelay = .milliseconds(1)
        let refused = await errorOf { () async throws(KernelError) in
            try await nowhere.complete(ChatRequest(messages: [.user("Hi")]))
        }
        #expect(refused?.code == .connectionFailed)
        await http.close()
    }

    @Test("a deadline bounds waits and requests")
    func deadline() async throws {
        let slow = ScriptedServer.Step.response(status: 429, headers: [("Retry-After", "60")], body: "")
        let started = ContinuousClock.now
        try await withServer([slow, .json(Self.answer)]) { chat, server in
            let error = await errorOf { () async throws(KernelError) in
                try await chat.complete(ChatRequest(messages: [.user("Hi")], timeLeft: .seconds(10)))
            }
            #expect(error?.code == .rateLimited)
            #expect(server.requests.count == 1)
        }
        #expect(started.duration(to: .now) < .seconds(30))
    }

    @Test("a stream comes in pieces and ends whole", arguments: [1, 3, 1000])
    func stream(pieceSize: Int) async throws {
        let events = """
            : a comment\r
            data: {"model":"m-2","choices":[{"delta":{"role":"assistant","content":"Grüß"}}]}\r
            \r
            event: x
            data: {"choices":[{"delta":{"content":" dich 😀"},"finish_reason":null}]}

            data:{"choices":[{"delta":{},"finish_reason":"length"}]}

            data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}

            data: [DONE]

            """
        try await withServer([.events(events, pieceSize: pieceSize)]) { chat, server in
            let pieces = Recorder<String>()
            let response = try await chat.stream(ChatRequest(messages: [.user("Hi")])) { pieces.append($0) }
            #expect(pieces.values == ["Grüß", " dich 😀"])
            #expect(response.message.content == "Grüß dich 😀")
            #expect(response.finishReason == .length)
            #expect(response.model == "m-2")
            #expect(response.usage == TokenUsage(inputTokens: 5, outputTokens: 2))
            let body = try JSONValue(parsing: server.requests[0].body)
            #expect(body["stream"] == true)
            #expect(body["stream_options"] == ["include_usage": true])
        }
    }

    @Test("tool calls of a stream are merged by index")
    func streamedTools() async throws {
        func delta(_ calls: String) -> String { "data: {\"choices\":[{\"delta\":{\"tool_calls\":[\(calls)]}}]}\n\n" }
        let events =
            delta(#"{"index":0,"id":"a","function":{"name":"p-f","arguments":""}}"#)
            + delta(#"{"index":1,"id":"b","function":{"name":"p-g","arguments":"{\"y\""}}"#)
            + delta(#"{"index":0,"function":{"arguments":"{\"x\":1}"}},{"index":1,"function":{"arguments":":2}"}}"#)
            + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"
        try await withServer([.events(events)]) { chat, _ in
            let response = try await chat.stream(ChatRequest(messages: [.user("Hi")])) { _ in }
            #expect(response.finishReason == .toolCalls)
            #expect(
                response.message.toolCalls == [
                    ToolCall(id: "a", name: "p-f", arguments: #"{"x":1}"#),
                    ToolCall(id: "b", name: "p-g", arguments: #"{"y":2}"#),
                ])
        }
    }

    @Test("a stream that breaks off is an error; it is tried again only before the first text")
    func cutStream() async throws {
        let text = "data: {\"choices\":[{\"delta\":{\"content\":\"Hal\"}}]}\n\n"
        let done = "data: [DONE]\n\n"
        let (cut, count) = try await error(.events(text, isWhole: false), isStreaming: true)
        #expect(count == 1)
        #expect(cut?.code == .connectionFailed)
        let (unfinished, _) = try await error(.events(text + done), isStreaming: true)
        #expect(unfinished?.code == .connectionFailed)
        let early = ScriptedServer.Step.events(": hello\n\n", isWhole: false)
        #expect(try await error(early, early, early, isStreaming: true).1 == 3)
    }

    @Test("an error in a stream is that error")
    func errorInStream() async throws {
        let event = "data: {\"error\":{\"message\":\"gone\",\"code\":429}}\n\n"
        let (error, count) = try await error(
            .events(event), .events(event), .response(status: 401, body: "{\"error\":\"no\"}"), isStreaming: true)
        #expect(count == 3)
        #expect(error?.code == .unauthorized)
        let (broken, _) = try await self.error(.events("data: {oops\n\n"), isStreaming: true)
        #expect(broken?.message.contains("a chunk of the server's stream is not a JSON document") == false)
    }

    @Test("the whole tool loop over the wire")
    func toolLoop() async throws {
        let calls = """
            {"choices":[{"message":{"content":null,"tool_calls":[{"id":"c1","type":"function",
             "function":{"name":"text_upper","arguments":"{\\"input\\":\\"abc\\"}"}}]},"finish_reason":"tool_calls"}]}
            """
        try await withServer([.json(calls), .json(Self.answer)]) { chat, server in
            var kernel = Kernel(chatCompletion: chat)
            kernel.add(try textPlugin())
            let result = try await kernel.invokePrompt(
                "Shout", settings: ExecutionSettings(functionChoice: FunctionChoice(.auto)))
            #expect(result.text == "Hi")
            let messages = try JSONValue(parsing: server.requests[1].body)["messages"]?.arrayValue
            #expect(messages?.last == ["role": "tool", "content": "ABC", "tool_call_id": "c1"])
        }
    }

    @Test("the environment chooses the model")
    func selection() async throws {
        let http = HTTPClient()
        #expect(try ModelSelection.chatCompletion(environment: [:], http: http) is LocalModel)
        #expect(try ModelSelection.chatCompletion(environment: ["OPENAI_API_KEY": " "], http: http) is LocalModel)
        let remote = try ModelSelection.chatCompletion(
            environment: ["OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_MODEL": "tiny"], http: http)
        let openAI = try #require(remote as? OpenAIChatCompletion)
        #expect(openAI.configuration.baseURL == "http://127.0.0.1:9/v1")
        #expect(openAI.defaultModel == "tiny")
        #expect(
            try ModelSelection.chatCompletion(environment: ["OPENAI_API_KEY": "k"], model: "local", http: http)
                is LocalModel)
        #expect(throws: KernelError.self) {
            try ModelSelection.chatCompletion(environment: ["OPENAI_BASE_URL": "localhost"], http: http)
        }
        #expect(throws: KernelError.self) {
            try ModelSelection.chatCompletion(environment: [:], model: "m", http: http)
        }
        await http.close()
    }
}
