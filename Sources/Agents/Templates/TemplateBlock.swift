/// A piece of a parsed prompt template.
enum TemplateBlock: Sendable, Hashable {
    /// Text that is copied as it stands.
    case text(String)
    /// `{{$name}}`
    case variable(String)
    /// `{{'text'}}`
    case literal(String)
    /// `{{plugin.function $a name='v'}}`
    case call(TemplateCall)
}

/// A function call inside a template.
struct TemplateCall: Sendable, Hashable {
    /// An argument's value: written in place, or that of a variable.
    enum Value: Sendable, Hashable {
        case literal(String)
        case variable(String)
    }

    /// `nil` when the template names only the function.
    var plugin: String?
    var function: String
    /// The one argument without a name; it goes to the function's first parameter.
    var positional: Value?
    var named: [String: Value] = [:]
}
