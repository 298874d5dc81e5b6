import Testing

@testable import Agents

@Suite("Prompt templates")
struct TemplateTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var template: String
        var expected: String
        var testDescription: String { template }
    }

    static let arguments: KernelArguments = ["name": "Ann", "a": "x<y>&\"'", "number": 3, "list": [1, "two"]]

    @Test(
        "render as Semantic Kernel does",
        arguments: [
            Case(template: "", expected: ""),
            Case(template: "plain { } text", expected: "plain { } text"),
            Case(template: "Hello {{$name}}!", expected: "Hello Ann!"),
            Case(template: "{{ $NAME }}", expected: "Ann"),
            Case(template: "{{$missing}}|", expected: "|"),
            Case(template: "{{$number}} {{$list}}", expected: "3 [1,&quot;two&quot;]"),
            Case(template: "{{$a}}", expected: "x&lt;y&gt;&amp;&quot;&#39;"),
            Case(template: "{{'<literal>'}}", expected: "<literal>"),
            Case(template: #"{{"it's"}}"#, expected: "it's"),
            Case(template: #"{{'it\'s a \\ \n'}}"#, expected: #"it's a \ \n"#),
            Case(template: "{{'}}'}}", expected: "}}"),
            Case(template: #"{{ "{{" }}"#, expected: "{{"),
            Case(template: "{{{$name}}}", expected: "{Ann}"),
            Case(template: "{{ {{$name}}", expected: "{{ Ann"),
            Case(template: "{{}} {{ }}", expected: "{{}} {{ }}"),
            Case(template: "{{$name", expected: "{{$name"),
            Case(template: "{{'open}}", expected: "{{'open}}"),
            Case(template: "a }} b", expected: "a }} b"),
            Case(template: "{{text.upper 'abc'}}", expected: "ABC"),
            Case(template: "{{upper $name}}", expected: "ANN"),
            Case(template: "{{text.upper $a}}", expected: "X&lt;Y&gt;&amp;&quot;&#39;"),
            Case(template: "{{text.join 'l' second='r'}}", expected: "l+r"),
            Case(template: "{{text.join first=$name  second=\"q\"}}", expected: "Ann+q"),
            Case(template: "{{text.join\n\t$name}}", expected: "Ann+?"),
            Case(template: "{{TEXT.Join 'l' SECOND=$name}}", expected: "l+Ann"),
        ])
    func renders(_ example: Case) async throws {
        var kernel = Kernel()
        kernel.add(try textPlugin())
        let captured = Recorder<String>()
        kernel.filters.prompts.append { rendering, next in
            let prompt = try await next(rendering)
            captured.append(prompt.text)
            return prompt
        }
        kernel.chatCompletion = ScriptedChat(.text("ok"))
        _ = try await kernel.invokePrompt(example.template, Self.arguments)
        #expect(captured.values == [example.expected])
    }

    @Test(
        "refuse what the language does not have, and say where",
        arguments: [
            ("{{$}}", "is not a variable"), ("{{$a-b}}", "is not a variable"), ("{{$a $b}}", "nothing may follow"),
            ("{{'a' 'b'}}", "nothing may follow"), ("{{'a''b'}}", "white space is missing"),
            ("{{a.b.c}}", "is not a function"), ("{{pl-ugin.f}}", "is not a function"), ("{{.f}}", "is not a function"),
            ("{{f 'a' 'b'}}", "only one argument"), ("{{f x='a' 'b'}}", "must come first"),
            ("{{f x='a' x='b'}}", "given twice"), ("{{f word}}", "is neither"), ("{{f x=word}}", "neither a $variable"),
            ("{{f x= 'a'}}", "has no value"), ("{{x='a'}}", "where a function is expected"),
            ("{{f x-y='a'}}", "is not an argument's name"), ("one\ntwo {{$}}", "line 2"),
        ])
    func refuses(_ template: String, _ problem: String) {
        #expect {
            try PromptTemplate(template)
        } throws: { error in
            let error = error as? KernelError
            return error?.code == .badTemplate && error?.message.contains(problem) == true
        }
    }

    @Test("trusted values are copied as they are")
    func trust() async throws {
        let template = "{{$a}} {{$b}} {{f}}"
        let markup: KernelArguments = ["a": "<a>", "b": "<b>"]
        let byVariable = try PromptTemplate(template, trust: .init(variables: ["A"]))
        #expect(
            try await byVariable.render(markup) { _, _ throws(KernelError) in "<f>" } == "<a> &lt;b&gt; &lt;f&gt;")
        let everything = try PromptTemplate(template, trust: .init(everything: true))
        #expect(try await everything.render(markup) { _, _ throws(KernelError) in "<f>" } == "<a> <b> <f>")
    }

    @Test("variables are listed once, in order")
    func variables() throws {
        let template = try PromptTemplate("{{$b}} {{f $a x=$c}} {{$B}} {{'$no'}}")
        #expect(template.variables == ["b", "a", "c"])
    }

    @Test("a function that the kernel does not have is an error that names what there is")
    func unknownFunction() async throws {
        var kernel = Kernel(chatCompletion: ScriptedChat())
        kernel.add(try textPlugin())
        let error = await errorOf { () async throws(KernelError) in try await kernel.invokePrompt("{{text.lower 'A'}}")
        }
        #expect(error?.code == .functionNotFound)
        #expect(error?.nextStep == "there are upper, join, fail, echo")
    }
}
