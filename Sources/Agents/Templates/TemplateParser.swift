/// Parses Semantic Kernel's template language.
///
/// Outside `{{ }}` everything is text. A `{{` without its `}}`, and `{{ }}` with nothing in it, are text too; of
/// several `{{` in a row the last one opens the block. Inside are, separated by white space, either one variable
/// `$name`, one literal in single or double quotes, or `plugin.function` (or just `function`) followed by at most
/// one positional argument and then any number of `name=value`. Names consist of `A-Z a-z 0-9 _`. In a literal, `\`
/// escapes the quotes and itself; before anything else it is an ordinary character.
struct TemplateParser {
    private let bytes: [UInt8]

    init(_ template: String) {
        bytes = Array(template.utf8)
    }

    /// - Throws: ``KernelError`` with `badTemplate`, naming the line and the offending block.
    func parse() throws(KernelError) -> [TemplateBlock] {
        var blocks: [TemplateBlock] = []
        var textStart = 0
        var blockStart: Int?
        var quote: UInt8?
        var cursor = 0
        while cursor < bytes.count {
            let byte = bytes[cursor]
            if let open = quote {
                if byte == .backslash, cursor + 1 < bytes.count, bytes[cursor + 1].isEscapable {
                    cursor += 1
                } else if byte == open {
                    quote = nil
                }
            } else if starts(with: .openBrace, at: cursor) {
                blockStart = cursor
            } else if let start = blockStart {
                if byte.isQuote {
                    quote = byte
                } else if starts(with: .closeBrace, at: cursor) {
                    let content = bytes[(start + 2)..<cursor]
                    if let block = try parseBlock(content, at: start) {
                        appendText(textStart..<start, to: &blocks)
                        blocks.append(block)
                        textStart = cursor + 2
                    }
                    blockStart = nil
                    cursor += 1
                }
            }
            cursor += 1
        }
        appendText(textStart..<bytes.count, to: &blocks)
        return blocks
    }

    private func starts(with brace: UInt8, at index: Int) -> Bool {
        bytes[index] == brace && index + 1 < bytes.count && bytes[index + 1] == brace
    }

    private func appendText(_ range: Range<Int>, to blocks: inout [TemplateBlock]) {
        guard !range.isEmpty else { return }
        blocks.append(.text(String(decoding: bytes[range], as: UTF8.self)))
    }

    /// - Returns: `nil` for a block without content, which is text.
    private func parseBlock(_ content: ArraySlice<UInt8>, at start: Int) throws(KernelError) -> TemplateBlock? {
        var tokenizer = TemplateTokenizer(content)
        var tokens: [TemplateToken] = []
        do {
            while let token = try tokenizer.next() { tokens.append(token) }
            guard let first = tokens.first else { return nil }
            return try TemplateParser.block(first, arguments: tokens.dropFirst())
        } catch {
            let line = bytes[..<start].count { $0 == .newline } + 1
            let block = String(decoding: content, as: UTF8.self)
            throw KernelError(
                .badTemplate, "line \(line): {{\(block)}}: \(error.problem)",
                nextStep: "write {{$name}}, {{'text'}} or {{plugin.function $value name='value'}}")
        }
    }

    private static func block(
        _ first: TemplateToken, arguments: ArraySlice<TemplateToken>
    ) throws(TemplateProblem) -> TemplateBlock {
        switch first {
        case .variable(let name):
            guard arguments.isEmpty else { throw TemplateProblem("nothing may follow the variable $\(name)") }
            return .variable(name)
        case .literal(let text):
            guard arguments.isEmpty else { throw TemplateProblem("nothing may follow the literal '\(text)'") }
            return .literal(text)
        case .named(let name, _):
            throw TemplateProblem("the argument \(name)= stands where a function is expected")
        case .word(let identifier):
            return .call(try call(identifier, arguments: arguments))
        }
    }

    private static func call(
        _ identifier: String, arguments: ArraySlice<TemplateToken>
    ) throws(TemplateProblem) -> TemplateCall {
        let parts = identifier.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, parts.allSatisfy({ $0.isTemplateName }) else {
            throw TemplateProblem("\"\(identifier)\" is not a function: names consist of A-Z a-z 0-9 _ and one dot")
        }
        var call = TemplateCall(plugin: parts.count == 2 ? parts[0] : nil, function: parts[parts.count - 1])
        for token in arguments {
            switch token {
            case .variable(let name): try call.setPositional(.variable(name))
            case .literal(let text): try call.setPositional(.literal(text))
            case .named(let name, let value):
                guard call.named.updateValue(value, forKey: name) == nil else {
                    throw TemplateProblem("the argument \(name)= is given twice")
                }
            case .word(let word):
                throw TemplateProblem("\"\(word)\" is neither a $variable, a quoted literal nor name=value")
            }
        }
        return call
    }
}

extension TemplateCall {
    fileprivate mutating func setPositional(_ value: Value) throws(TemplateProblem) {
        guard named.isEmpty else { throw TemplateProblem("the argument without a name must come first") }
        guard positional == nil else { throw TemplateProblem("only one argument may go without a name") }
        positional = value
    }
}

extension UInt8 {
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")
    static let backslash = UInt8(ascii: "\\")
    static let newline = UInt8(ascii: "\n")

    var isQuote: Bool { self == UInt8(ascii: "'") || self == UInt8(ascii: "\"") }
    var isEscapable: Bool { isQuote || self == .backslash }
}
