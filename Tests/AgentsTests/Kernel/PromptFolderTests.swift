import Foundation
import Testing

@testable import Agents

@Suite("Prompt folders")
struct PromptFolderTests {
    static let repository = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    @Test("the built-in prompts equal the files in Prompts/")
    func embedded() throws {
        for prompt in EmbeddedPrompts.all {
            let folder = Self.repository.appending(path: "Prompts/\(prompt.plugin)/\(prompt.function)")
            let skprompt = try String(contentsOf: folder.appending(path: "skprompt.txt"), encoding: .utf8)
            let configuration = try String(contentsOf: folder.appending(path: "config.json"), encoding: .utf8)
            #expect(skprompt == prompt.skprompt)
            #expect(configuration.trimmingWhiteSpace() == prompt.configuration.trimmingWhiteSpace())
        }
        let files = try PromptFolder.plugins(in: Self.repository.appending(path: "Prompts").path)
        #expect(
            Set(files.flatMap { plugin in plugin.functions.map { "\(plugin.name).\($0.name)" } })
                == Set(EmbeddedPrompts.all.map { "\($0.plugin).\($0.function)" }))
    }

    @Test("a folder replaces a built-in prompt")
    func override() async throws {
        let chat = ScriptedChat(.text("ok"))
        try await withFolder(["Text/Summarize/skprompt.txt": "Kurz: {{$input}}"]) { folder in
            var kernel = Kernel(chatCompletion: chat)
            for plugin in try EmbeddedPrompts.plugins() { kernel.add(plugin) }
            try kernel.addPlugins(inFolder: folder)
            _ = try await kernel.invoke("Text", "Summarize", ["input": "abc"])
        }
        #expect(chat.requests.first?.messages == [.user("Kurz: abc")])
    }

    @Test("all of config.json is read")
    func configuration() throws {
        let configuration = try PromptConfiguration(
            parsing: """
                {"schema": 1, "type": "completion", "name": "Translate", "description": "d",
                 "input_variables": [
                   {"name": "input", "is_required": true},
                   {"name": "language", "default": "French", "json_schema": "{\\"type\\":\\"string\\"}"},
                   {"name": "raw", "allow_dangerously_set_content": true}],
                 "output_variable": {"description": "o"},
                 "execution_settings": {
                   "default": {"model_id": "m", "temperature": 0.5, "top_p": 1, "max_tokens": 10, "seed": 7,
                     "stop_sequences": ["END"], "response_format": "json_object", "presence_penalty": 0.1,
                     "function_choice_behavior": {"type": "required", "functions": ["a.b"], "maximum_rounds": 3}},
                   "other": {}}}
                """, file: "config.json")
        #expect(configuration.name == "Translate")
        #expect(configuration.inputVariables.map(\.isRequired) == [true, false, false])
        #expect(configuration.inputVariables[1].defaultValue == "French")
        #expect(configuration.inputVariables[2].allowsMarkup)
        let settings = try #require(configuration.executionSettings["default"])
        #expect(settings.model == "m")
        #expect(settings.temperature == 0.5)
        #expect(settings.maximumTokens == 10)
        #expect(settings.stopSequences == ["END"])
        #expect(settings.other == ["presence_penalty": 0.1])
        #expect(settings.functionChoice == FunctionChoice(.required, functions: ["a.b"], maximumRounds: 3))
    }

    @Test(
        "mistakes name the file, the key and what is allowed",
        arguments: [
            ("{", "p/config.json: not a JSON document"),
            ("[]", "p/config.json: an object {…} is required, got an array"),
            (#"{"temprature": 1}"#, "temprature: unknown key; allowed are name, description"),
            (#"{"template_format": "liquid"}"#, #"template_format: allowed is "semantic-kernel", got "liquid""#),
            (#"{"name": "a b"}"#, "name: one or more of A-Z a-z 0-9 _ are allowed"),
            (#"{"description": 1}"#, "description: a string is required, got a whole number"),
            (#"{"input_variables": {}}"#, "input_variables: an array of objects is required"),
            (#"{"input_variables": [{}]}"#, "input_variables[0].name: one or more of"),
            (#"{"input_variables": [{"name":"a"},{"name":"A"}]}"#, "input_variables[1].name: the variable"),
            (#"{"input_variables": [{"name":"a","is_required":"yes"}]}"#, "is_required: true or false is required"),
            (
                #"{"execution_settings": {"default": {"temperature": "hot"}}}"#,
                #"execution_settings.default.temperature: a number from 0 to 2 is required, got "hot""#
            ),
            (#"{"execution_settings": {"default": {"temperature": 3}}}"#, "a number from 0 to 2 is required, got 3"),
            (#"{"execution_settings": {"default": {"max_tokens": 0}}}"#, "max_tokens: a whole number from 1 to"),
            (#"{"execution_settings": {"default": {"stop_sequences": [1]}}}"#, "stop_sequences: an array of strings"),
            (#"{"execution_settings": {"default": {"response_format": "xml"}}}"#, "response_format: allowed are"),
            (
                #"{"execution_settings": {"default": {"function_choice_behavior": {"type": "maybe"}}}}"#,
                #"function_choice_behavior.type: allowed are "auto", "required" and "none", got "maybe""#
            ),
        ])
    func mistakes(_ json: String, _ message: String) {
        #expect {
            try PromptConfiguration(parsing: json, file: "p/config.json")
        } throws: { error in
            let error = error as? KernelError
            return error?.code == .badPromptFolder && error?.message.hasPrefix("p/config.json: ") == true
                && error?.message.contains(message) == true
        }
    }

    @Test("bad folders are told")
    func folders() async throws {
        let cases: [(files: [String: String], message: String)] = [
            ([:], "there is no plugin in this folder"),
            (["A/x.txt": ""], "A: there is no function in this plugin's folder"),
            (["A/B/config.json": "{}"], "A/B/skprompt.txt is missing"),
            (["A b/C/skprompt.txt": ""], "A b: the folder's name cannot name"),
            (["A/B/skprompt.txt": "{{$}}"], "A/B/skprompt.txt: line 1"),
            (
                ["A/B/skprompt.txt": String(repeating: "x", count: PromptFolder.maximumFileSize + 1)],
                "bytes; allowed are"
            ),
        ]
        for (files, message) in cases {
            try await withFolder(files) { folder in
                let error = await errorOf { () async throws(KernelError) in try PromptFolder.plugins(in: folder) }
                #expect(error?.code == .badPromptFolder)
                #expect(error?.message.contains(message) == true, "\(String(describing: error)) lacks \(message)")
            }
        }
        let error = await errorOf { () async throws(KernelError) in try PromptFolder.plugins(in: "/nowhere/at/all") }
        #expect(error?.message == "/nowhere/at/all: cannot be read as a folder")
    }

    private func withFolder(_ files: [String: String], _ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "prompts-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, text) in files {
            let file = folder.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        try await body(folder.path)
    }
}
