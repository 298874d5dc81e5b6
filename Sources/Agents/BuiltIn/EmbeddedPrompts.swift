/// The prompts of `Prompts/`, inside the binary, so that they are there wherever it runs. A test keeps both equal.
enum EmbeddedPrompts {
    struct Prompt {
        var plugin: String
        var function: String
        var skprompt: String
        var configuration: String
    }

    static let all = [textSummarize]

    static let textSummarize = Prompt(
        plugin: "Text", function: "Summarize",
        skprompt: "Summarize this text: {{$input}}",
        configuration: #"""
            {
              "schema": 1,
              "name": "Summarize",
              "description": "Summarizes a text in a few sentences.",
              "template_format": "semantic-kernel",
              "input_variables": [
                {
                  "name": "input",
                  "description": "The text to summarize.",
                  "is_required": true
                }
              ],
              "output_variable": {
                "description": "The summary."
              },
              "execution_settings": {
                "default": {
                  "temperature": 0.2,
                  "max_tokens": 300
                }
              }
            }
            """#)

    /// - Throws: ``KernelError`` with `badPromptFolder`; only a defect of the texts above.
    static func plugins() throws(KernelError) -> [KernelPlugin] {
        var plugins: [KernelPlugin] = []
        for prompt in all {
            let file = "the built-in prompt \(prompt.plugin).\(prompt.function)"
            let function = try PromptFolder.function(
                named: prompt.function, template: prompt.skprompt,
                configuration: PromptConfiguration(parsing: prompt.configuration, file: file), file: file)
            plugins.append(try KernelPlugin(prompt.plugin, functions: [function]))
        }
        return plugins
    }
}
