/// What stands inside `{{ }}`, between white space.
enum TemplateToken: Sendable, Hashable {
    /// `$name`
    case variable(String)
    /// `'text'` or `"text"`, unescaped
    case literal(String)
    /// `name=value`
    case named(String, TemplateCall.Value)
    /// Anything else: a function's name, or a mistake.
    case word(String)
}

/// A mistake in a block, before its place in the template is known.
struct TemplateProblem: Error {
    var problem: String

    init(_ problem: String) { self.problem = problem }
}

/// Splits the content of a block into tokens.
struct TemplateTokenizer {
    private let bytes: ArraySlice<UInt8>
    private var cursor: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        cursor = bytes.startIndex
    }

    /// - Returns: the next token; `nil` at the end.
    mutating func next() throws(TemplateProblem) -> TemplateToken? {
        while cursor < bytes.endIndex, bytes[cursor].isTemplateSpace { cursor += 1 }
        guard cursor < bytes.endIndex else { return nil }
        let token = try token()
        guard cursor == bytes.endIndex || bytes[cursor].isTemplateSpace else {
            throw TemplateProblem("white space is missing before \"\(rest())\"")
        }
        return token
    }

    private mutating func token() throws(TemplateProblem) -> TemplateToken {
        if bytes[cursor].isQuote { return .literal(literal()) }
        let word = word()
        if word.hasPrefix("$") { return .variable(try TemplateTokenizer.variable(word)) }
        guard cursor < bytes.endIndex, bytes[cursor] == UInt8(ascii: "=") else { return .word(word) }
        guard word.isTemplateName else { throw TemplateProblem("\"\(word)\" is not an argument's name") }
        cursor += 1
        guard cursor < bytes.endIndex, !bytes[cursor].isTemplateSpace else {
            throw TemplateProblem("the argument \(word)= has no value (no spaces around =)")
        }
        if bytes[cursor].isQuote { return .named(word, .literal(literal())) }
        let value = self.word()
        guard value.hasPrefix("$") else {
            throw TemplateProblem("the value \"\(value)\" of \(word)= is neither a $variable nor in quotes")
        }
        return .named(word, .variable(try TemplateTokenizer.variable(value)))
    }

    /// Up to white space, a quote or `=`.
    private mutating func word() -> String {
        let start = cursor
        while cursor < bytes.endIndex, !bytes[cursor].isTemplateSpace, !bytes[cursor].isQuote,
            bytes[cursor] != UInt8(ascii: "=")
        {
            cursor += 1
        }
        return String(decoding: bytes[start..<cursor], as: UTF8.self)
    }

    /// The parser has found the closing quote already: a block with an open quote has no end and is text.
    private mutating func literal() -> String {
        let quote = bytes[cursor]
        var text: [UInt8] = []
        cursor += 1
        while cursor < bytes.endIndex, bytes[cursor] != quote {
            if bytes[cursor] == .backslash, cursor + 1 < bytes.endIndex, bytes[cursor + 1].isEscapable { cursor += 1 }
            text.append(bytes[cursor])
            cursor += 1
        }
        cursor = min(cursor + 1, bytes.endIndex)
        return String(decoding: text, as: UTF8.self)
    }

    private static func variable(_ word: String) throws(TemplateProblem) -> String {
        let name = String(word.dropFirst())
        guard name.isTemplateName else {
            throw TemplateProblem("\"\(word)\" is not a variable: after $ come one or more of A-Z a-z 0-9 _")
        }
        return name
    }

    private func rest() -> String { String(decoding: bytes[cursor...], as: UTF8.self) }
}

extension UInt8 {
    fileprivate var isTemplateSpace: Bool {
        self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") || self == UInt8(ascii: "\n")
            || self == UInt8(ascii: "\r")
    }
}

extension String {
    /// One or more of `A-Z a-z 0-9 _`.
    var isTemplateName: Bool { !isEmpty && utf8.allSatisfy(\.isTemplateNameByte) }
}

extension UInt8 {
    /// One of `A-Z a-z 0-9 _`.
    var isTemplateNameByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
