import Testing

@testable import Agents

@Suite("The extractive summarizer")
struct SummarizerTests {
    private let summarizer = ExtractiveSummarizer()

    static let article = """
        The city council voted on Tuesday to build a new bridge across the river. The old bridge, opened in 1931, has \
        carried far more traffic than its engineers planned. Dr. Jane A. Smith of the university said that the bridge \
        could fail within ten years. Local shops fear that the building work will drive customers away. The mayor \
        answered that a ferry will run every ten minutes. It rained on the day of the vote. Several members wore hats. \
        The new bridge will cost 120.5 million euros and open in 2031. Half of the money comes from the state. The \
        council will choose a builder for the bridge next year. A park is planned below the bridge. Children may play there.
        """

    @Test("chooses whole sentences of the text, in order, and the telling ones")
    func article() {
        let summary = summarizer.summarize(Self.article)
        let outline = TextOutline(summary)
        let sentences = outline.sentences.map { outline.text(of: $0) }
        #expect((2...6).contains(sentences.count))
        var rest = Self.article[...]
        for sentence in sentences {
            guard let place = rest.firstRange(of: sentence) else {
                Issue.record("\"\(sentence)\" is not in the rest of the text")
                return
            }
            rest = rest[place.upperBound...]
        }
        #expect(summary.contains("The city council voted on Tuesday"))
        #expect(!summary.contains("hats"))
    }

    @Test("the same text gives the same summary")
    func deterministic() {
        let summaries = Set((0..<5).map { _ in summarizer.summarize(Self.article) })
        #expect(summaries.count == 1)
    }

    @Test(
        "an empty text is told", arguments: ["", " ", "\n\n\t\n", "\0\0", "\u{FEFF}", "---\n\n===\n"])
    func empty(_ text: String) {
        #expect(summarizer.summarize(text) == "The text is empty: there is nothing to summarize.")
    }

    @Test("a text without words is told, and shown in part")
    func emoji() {
        let summary = summarizer.summarize(String(repeating: "😀👩‍👩‍👧‍👦🇩🇪", count: 1000))
        #expect(summary.hasPrefix("The text has no words to summarize: 😀👩‍👩‍👧‍👦🇩🇪"))
        #expect(summary.count < 200)
        #expect(summarizer.summarize("?!").hasPrefix("The text has no words"))
    }

    @Test("NUL and other control characters disappear")
    func controlCharacters() {
        let summary = summarizer.summarize("First\0 part\u{1} of it. Second\u{7f} part.")
        #expect(summary == "First part of it.")
    }

    @Test(
        "every text has a summary within the limit",
        arguments: [
            "One word", String(repeating: "word ", count: 20_000), String(repeating: "x", count: 50_000),
            String(repeating: "句子没有尽头", count: 5000), String(repeating: "e\u{301}\u{327}", count: 5000),
            "a" + String(repeating: "\u{301}", count: 50_000), String(repeating: "[a](", count: 10_000),
            String(repeating: "```\n", count: 999), String(repeating: ". ", count: 10_000),
            String(repeating: "| a | b |\n", count: 500), String(repeating: "# H\n", count: 500),
            String(repeating: "let x = f(y);\n", count: 500), "\r\r\n\n\r" + String(repeating: "line\r\n", count: 500),
            String(repeating: "ก", count: 5000), String(repeating: "👨‍👩‍👧‍👦 word ", count: 3000),
        ])
    func limits(_ text: String) {
        let summary = summarizer.summarize(text)
        #expect(!summary.isEmpty)
        #expect(summary.count <= 801)
        #expect(summary.utf8.count <= 17_000)
    }

    @Test(
        "sentences are found in many languages",
        arguments: [
            ("He said \"Stop!\" Then he left.", ["He said \"Stop!\"", "Then he left."]),
            (
                "It costs 3.14 dollars. See example.com for more.",
                ["It costs 3.14 dollars.", "See example.com for more."]
            ),
            (
                "Mr. Fox met Dr. A. B. Cow, e.g. at noon. They ate.",
                ["Mr. Fox met Dr. A. B. Cow, e.g. at noon.", "They ate."]
            ),
            ("Wirklich? Ja! Das ist z.B. gut. Ende.", ["Wirklich?", "Ja!", "Das ist z.B. gut.", "Ende."]),
            ("今天天气很好。我们去公园！你来吗？", ["今天天气很好。", "我们去公园！", "你来吗？"]),
            ("彼は「行こう。」と言った。終わり。", ["彼は「行こう。」", "と言った。", "終わり。"]),
            ("यह पहला वाक्य है। यह दूसरा है।", ["यह पहला वाक्य है।", "यह दूसरा है।"]),
            ("هل أنت هنا؟ نعم. شكرا", ["هل أنت هنا؟", "نعم.", "شكرا"]),
            ("Привет. Как дела? Хорошо…", ["Привет.", "Как дела?", "Хорошо…"]),
            ("¿Qué? ¡Nada! «Bien.» Fin.", ["¿Qué?", "¡Nada!", "«Bien.»", "Fin."]),
            ("Wait... what happened? no idea", ["Wait... what happened? no idea"]),
        ])
    func segmentation(_ text: String, _ expected: [String]) {
        let outline = TextOutline(text)
        #expect(outline.sentences.map { outline.text(of: $0) } == expected)
    }

    @Test("Markdown is read, not copied")
    func markdown() {
        let text = """
            # The **tool**

            [![build](https://x/y.svg)](https://x)
            <p align="center">

            The tool [reads](https://example.com/a_b) files and `writes` them.
            It is **fast**.
            ![shot](a.png)

            ```sh
            make up
            ```

            | a | b |
            |---|---|

            - First item. More of it.
            2. Second item
            > A quote.
            """
        let outline = TextOutline(text)
        let sentences = outline.sentences.map { "\($0.kind): \(outline.text(of: $0))" }
        #expect(
            sentences == [
                "heading: The tool", "prose: The tool reads files and writes them.", "prose: It is fast.",
                "code: make up",
                "table: | a | b |", "table: |---|---|", "listItem: First item.", "listItem: More of it.",
                "listItem: Second item", "prose: A quote.",
            ])
        let summary = summarizer.summarize(text)
        #expect(!summary.contains("make up"))
        #expect(!summary.contains("["))
    }

    @Test("code alone is summarised by its lines")
    func code() {
        let summary = summarizer.summarize(
            "int main() {\n  return compute(1, 2);\n}\nint compute(int a, int b) {\n  return a + b;\n}\n")
        #expect(summary.contains("compute"))
    }

    @Test("a megabyte takes time and memory in proportion")
    func large() {
        let text = String(repeating: Self.article + "\n\n", count: 1_100_000 / Self.article.utf8.count)
        #expect(text.utf8.count > 1_000_000)
        let started = ContinuousClock.now
        let summary = summarizer.summarize(text)
        // Without optimisation; optimised it is some 50 times faster.
        #expect(started.duration(to: .now) < .seconds(20))
        #expect(summary.contains("bridge"))
    }

    @Test("the local model works on the prompt's input, within its limit")
    func localModel() async throws {
        var kernel = Kernel(chatCompletion: LocalModel())
        for plugin in try EmbeddedPrompts.plugins() { kernel.add(plugin) }
        let result = try await kernel.invoke("Text", "Summarize", ["input": .string(Self.article)])
        #expect(result.model == "local")
        #expect(result.text == ExtractiveSummarizer(maximumLength: 1200).summarize(Self.article))
        let nothing = try await kernel.invoke("Text", "Summarize", ["input": ""])
        #expect(nothing.text == "The text is empty: there is nothing to summarize.")
        let long = try await kernel.invoke(
            "Text", "Summarize", ["input": .string(Self.article)], settings: ExecutionSettings(maximumTokens: 20))
        #expect(long.text.count <= 81)
    }
}
