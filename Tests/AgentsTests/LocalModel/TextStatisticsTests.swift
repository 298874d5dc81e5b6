import Testing

@testable import Agents

@Suite("Text statistics")
struct TextStatisticsTests {
    @Test(
        "count as people do",
        arguments: [
            ("", "0 characters, 0 words, 0 sentences, 0 lines, 0 s to read"),
            ("Hello, world!", "13 characters, 2 words, 1 sentence, 1 line, 1 s to read"),
            ("Don't stop. It's well-known.\nBye.\n", "34 characters, 5 words, 3 sentences, 2 lines, 2 s to read"),
            ("👨‍👩‍👧‍👦", "1 character, 0 words, 1 sentence, 1 line, 0 s to read"),
            ("你好。再见。", "6 characters, 4 words, 2 sentences, 1 line, 1 s to read"),
            (
                String(repeating: "word ", count: 1000),
                "5,000 characters, 1,000 words, 10 sentences, 1 line, 5 min to read"
            ),
        ])
    func summary(_ text: String, _ expected: String) {
        #expect(TextStatistics(text).summary == expected)
    }

    @Test("are functions of the kernel")
    func functions() async throws {
        var kernel = Kernel()
        kernel.add(try TextStatistics.plugin())
        let counts = try await kernel.invoke("Statistics", "Count", ["input": "One two."])
        #expect(counts.value["words"] == 2)
        #expect(counts.value["sentences"] == 1)
    }

    @Test("the summarizer agent combines both functions")
    func agent() async throws {
        var kernel = Kernel(chatCompletion: LocalModel())
        for plugin in try EmbeddedPrompts.plugins() { kernel.add(plugin) }
        kernel.add(try TextStatistics.plugin())
        let context = AgentContext(
            taskID: "w/0", workflowID: "w", input: "Ants are strong. Ants are many. We like ants.", kernel: kernel,
            deadline: .now + .seconds(60))
        let output = try await Agent.summarizer.run(context)
        #expect(output == "Ants are strong.\n\n45 characters, 9 words, 3 sentences, 1 line, 3 s to read")
        #expect(
            context.report.functions.map { "\($0.plugin).\($0.function)" } == ["Text.Summarize", "Statistics.Describe"])
        #expect(context.report.model == "local")
    }
}
