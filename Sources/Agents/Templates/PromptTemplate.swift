/// A prompt template in Semantic Kernel's template language: `{{$name}}`, `{{'literal'}}` and
/// `{{plugin.function $value name='value'}}`.
///
/// The values of variables and the output of functions are encoded (`<` becomes `&lt;` and so on), because the
/// rendered prompt is markup in which `<message role="…">` separates chat messages: a user's text must not be able
/// to forge one. ``ChatMarkup`` decodes again what it hands to the model.
public struct PromptTemplate: Sendable {
    /// Which values are trusted to contain markup.
    public struct Trust: Sendable, Hashable {
        /// Variables (in any case) whose values are copied without encoding.
        public var variables: Set<String>
        /// Whether everything is copied without encoding, also the output of functions.
        public var everything: Bool

        /// - Parameters:
        ///   - variables: variables whose values are copied without encoding; none by default.
        ///   - everything: turns all encoding off; `false` by default.
        public init(variables: Set<String> = [], everything: Bool = false) {
            self.variables = Set(variables.map { $0.lowercased() })
            self.everything = everything
        }
    }

    /// Calls the function that a template names and returns its output as text.
    typealias FunctionCaller = (TemplateCall, KernelArguments) async throws(KernelError) -> String

    let blocks: [TemplateBlock]
    let trust: Trust

    /// - Throws: ``KernelError`` with `badTemplate`, naming the line and the offending block.
    public init(_ template: String, trust: Trust = Trust()) throws(KernelError) {
        blocks = try TemplateParser(template).parse()
        self.trust = trust
    }

    /// The variables that the template mentions, each once, in the order of their first mention.
    public var variables: [String] {
        var seen: Set<String> = []
        var names: [String] = []
        func note(_ name: String) {
            if seen.insert(name.lowercased()).inserted { names.append(name) }
        }
        for block in blocks {
            switch block {
            case .variable(let name): note(name)
            case .call(let call):
                if case .variable(let name) = call.positional { note(name) }
                for (_, value) in call.named.sorted(by: { $0.key < $1.key }) {
                    if case .variable(let name) = value { note(name) }
                }
            case .text, .literal: break
            }
        }
        return names
    }

    /// The prompt's text. A variable without a value renders as nothing.
    ///
    /// - Parameters:
    ///   - arguments: the values of the variables.
    ///   - functions: called for `{{plugin.function …}}`, in order.
    func render(_ arguments: KernelArguments, functions: FunctionCaller) async throws(KernelError) -> String {
        var prompt = ""
        for block in blocks {
            switch block {
            case .text(let text), .literal(let text):
                prompt += text
            case .variable(let name):
                let text = arguments[name]?.text ?? ""
                prompt += isTrusted(variable: name) ? text : MarkupEncoding.encode(text)
            case .call(let call):
                let text = try await functions(call, arguments)
                prompt += trust.everything ? text : MarkupEncoding.encode(text)
            }
        }
        return prompt
    }

    private func isTrusted(variable name: String) -> Bool {
        trust.everything || trust.variables.contains(name.lowercased())
    }
}
