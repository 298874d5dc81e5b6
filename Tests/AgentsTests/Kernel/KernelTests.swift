import Testing

@testable import Agents

@Suite("The kernel")
struct KernelTests {
    struct Order: Codable, FunctionValue, Equatable {
        var item: String
        var count: Int
    }

    @Test("typed parameters take JSON and text")
    func typedParameters() async throws {
        let plugin = try KernelPlugin(
            "p",
            functions: [
                KernelFunction(
                    "add", "Adds.", FunctionParameter("a", as: Int.self),
                    FunctionParameter("b", as: Double.self, default: 0.5),
                    FunctionParameter("loud", as: Bool?.self), FunctionParameter("order", as: Order?.self)
                ) { a, b, loud, order in
                    "\(Double(a) + b) \(loud.map(String.init) ?? "-") \(order?.item ?? "-")"
                }
            ])
        var kernel = Kernel()
        kernel.add(plugin)
        #expect(try await kernel.invoke("p", "add", ["A": "2"]).text == "2.5 - -")
        #expect(
            try await kernel.invoke(
                "P", "ADD", ["a": 2, "b": "1", "Loud": "TRUE", "order": ["item": "tea", "count": 2]]
            ).text == "3.0 true tea")
        let missing = await errorOf { () async throws(KernelError) in try await kernel.invoke("p", "add") }
        #expect(missing?.message == "p.add needs the argument a, which is missing")
        let wrong = await errorOf { () async throws(KernelError) in try await kernel.invoke("p", "add", ["a": "two"]) }
        #expect(
            wrong?.message == "the argument a of p.add does not fit: expected a whole number, got a string: \"two\"")
        let schema = try #require(plugin.function(named: "add")?.argumentsSchema)
        #expect(schema["required"] == ["a"])
        #expect(schema["properties"]?["b"] == ["type": "number", "default": 0.5])
    }

    @Test("errors of functions are wrapped once and say whether a repetition helps")
    func functionErrors() async throws {
        struct Broken: Error {}
        var kernel = Kernel()
        kernel.add(
            try KernelPlugin(
                "p",
                functions: [
                    KernelFunction("odd", "") { (_: FunctionContext) -> String in throw Broken() },
                    KernelFunction("nested", "") { (context: FunctionContext) in
                        try await context.kernel.invoke("p", "odd").text
                    },
                    KernelFunction("loop", "") { (context: FunctionContext) -> String in
                        try await context.kernel.invoke("p", "loop").text
                    },
                ]))
        let odd = await errorOf { () async throws(KernelError) in try await kernel.invoke("p", "odd") }
        #expect(odd?.code == .functionFailed)
        #expect(odd?.isRetriable == true)
        let nested = await errorOf { () async throws(KernelError) in try await kernel.invoke("p", "nested") }
        #expect(nested?.message == "p.odd failed: Broken()")
        let loop = await errorOf { () async throws(KernelError) in try await kernel.invoke("p", "loop") }
        #expect(loop?.message.contains("more than 16 deep") == true)
    }

    @Test("filters nest, change and replace")
    func filters() async throws {
        var kernel = Kernel()
        kernel.add(try textPlugin())
        let log = Recorder<String>()
        for name in ["outer", "inner"] {
            kernel.filters.functions.append { invocation, next in
                log.append("\(name) before \(invocation.plugin).\(invocation.function)")
                var invocation = invocation
                invocation.arguments["input"] = .string((invocation.arguments["input"]?.text ?? "") + name)
                let result = try await next(invocation)
                log.append("\(name) after")
                return result
            }
        }
        #expect(try await kernel.invoke("text", "upper", ["input": "a"]).text == "AOUTERINNER")
        #expect(
            log.values == ["outer before text.upper", "inner before text.upper", "inner after", "outer after"])
        kernel.filters.functions.insert({ _, _ in FunctionResult("cached") }, at: 0)
        #expect(try await kernel.invoke("text", "upper", ["input": "a"]).text == "cached")
    }

    @Test("a prompt filter's change reaches the model, also the local one")
    func promptFilter() async throws {
        let chat = ScriptedChat(.text("a"), .text("b"))
        var kernel = Kernel(chatCompletion: chat)
        _ = try await kernel.invokePrompt("Say {{$input}}", ["input": "secret"])
        kernel.filters.prompts.append { rendering, next in
            var prompt = try await next(rendering)
            prompt.text = prompt.text.replacing("secret", with: "***")
            return prompt
        }
        _ = try await kernel.invokePrompt("Say {{$input}}", ["input": "secret"])
        #expect(chat.requests.map(\.input) == ["secret", nil])
        #expect(chat.requests.map { $0.messages.map(\.content) } == [["Say secret"], ["Say ***"]])
    }

    @Test("defaults fill in and required arguments are asked for")
    func inputVariables() async throws {
        let chat = ScriptedChat(.text("ok"))
        var kernel = Kernel(chatCompletion: chat)
        let prompt = try PromptFunction(
            template: "{{$input}} in {{$language}}",
            configuration: PromptConfiguration(inputVariables: [
                .init(name: "input", isRequired: true), .init(name: "language", defaultValue: "French"),
            ]))
        kernel.add(try KernelPlugin("p", functions: [KernelFunction("translate", prompt: prompt)]))
        _ = try await kernel.invoke("p", "translate", ["input": "hi"])
        #expect(chat.requests.first?.messages == [.user("hi in French")])
        let error = await errorOf { () async throws(KernelError) in try await kernel.invoke("p", "translate") }
        #expect(error?.code == .badArgument)
    }

    @Test("a passed deadline ends before the model is asked")
    func deadline() async throws {
        let chat = ScriptedChat(.text("ok"))
        var kernel = Kernel(chatCompletion: chat)
        kernel.deadline = ContinuousClock.now - .seconds(1)
        let error = await errorOf { () async throws(KernelError) in try await kernel.invokePrompt("Hi") }
        #expect(error?.code == .deadlineExceeded)
        #expect(chat.requests.isEmpty)
    }

    @Test("without a model a prompt says so")
    func noModel() async {
        let error = await errorOf { () async throws(KernelError) in try await Kernel().invokePrompt("Hi") }
        #expect(error?.code == .noChatCompletion)
    }

    @Test("names are checked and found in any case")
    func names() async throws {
        #expect(throws: KernelError.self) { try KernelPlugin("a-b", functions: []) }
        var kernel = Kernel()
        kernel.add(try KernelPlugin("A", functions: [KernelFunction("f", "") { (_: FunctionContext) in "1" }]))
        kernel.add(try KernelPlugin("a", functions: [KernelFunction("F", "") { (_: FunctionContext) in "2" }]))
        #expect(kernel.plugins.count == 1)
        #expect(try await kernel.invoke("A", "F").text == "2")
        let error = await errorOf { () async throws(KernelError) in try await kernel.invoke("b", "f") }
        #expect(error?.description == "functionNotFound: there is no plugin b (there are A)")
    }
}
