/// The arguments of a function or prompt: names without regard to case, values as JSON.
///
/// ```swift
/// let arguments: KernelArguments = ["input": "A long text…", "limit": 3]
/// ```
public struct KernelArguments: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    private var values: [String: JSONValue] = [:]

    /// - Parameter input: the value of the argument `input`, the customary name of a prompt's main text.
    public init(input: String? = nil) {
        if let input { self["input"] = .string(input) }
    }

    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (name, value) in elements { self[name] = value }
    }

    /// - Parameter values: of names that differ only in case, the alphabetically last wins.
    public init(_ values: [String: JSONValue]) {
        for (name, value) in values.sorted(by: { $0.key < $1.key }) { self[name] = value }
    }

    /// The value of an argument; the name's case does not matter. Setting `nil` removes it.
    public subscript(name: String) -> JSONValue? {
        get { values[name.lowercased()] }
        set { values[name.lowercased()] = newValue }
    }

    /// The names in lower case, sorted.
    public var names: [String] { values.keys.sorted() }

    /// All arguments as one JSON object, names in lower case.
    public var json: JSONValue { .object(values) }
}
