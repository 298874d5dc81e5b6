/// A Swift type that a kernel function can take as an argument or return.
///
/// Template arguments are text, so the numbers and truth values also read the texts that mean them.
/// A `Codable` type of your own conforms by declaring it: `extension Order: FunctionValue {}`.
public protocol FunctionValue: Sendable {
    /// The JSON schema that tells a model what to pass.
    static var jsonSchema: JSONValue { get }
    /// - Throws: any error; its description completes "the argument x of f does not fit: …".
    init(functionValue: JSONValue) throws
    /// The value as JSON.
    func functionValue() throws -> JSONValue
}

/// An argument does not fit its parameter's type.
struct ValueMismatch: Error, CustomStringConvertible {
    var description: String

    init(_ value: JSONValue, expected: String) {
        description = "expected \(expected), got \(value.kind)"
        let text = value.jsonText
        if text.utf8.count <= 80 { description += ": \(text)" }
    }
}

extension String: FunctionValue {
    public static var jsonSchema: JSONValue { ["type": "string"] }
    /// Anything but `null` has a text.
    public init(functionValue: JSONValue) throws {
        guard functionValue != .null else { throw ValueMismatch(functionValue, expected: "a string") }
        self = functionValue.text
    }
    public func functionValue() -> JSONValue { .string(self) }
}

extension Int: FunctionValue {
    public static var jsonSchema: JSONValue { ["type": "integer"] }
    public init(functionValue: JSONValue) throws {
        let value = functionValue.integerValue ?? functionValue.stringValue.flatMap { Int64($0.trimmingWhiteSpace()) }
        guard let value, let value = Int(exactly: value) else {
            throw ValueMismatch(functionValue, expected: "a whole number")
        }
        self = value
    }
    public func functionValue() -> JSONValue { .integer(Int64(self)) }
}

extension Double: FunctionValue {
    public static var jsonSchema: JSONValue { ["type": "number"] }
    public init(functionValue: JSONValue) throws {
        let value = functionValue.doubleValue ?? functionValue.stringValue.flatMap { Double($0.trimmingWhiteSpace()) }
        guard let value else { throw ValueMismatch(functionValue, expected: "a number") }
        self = value
    }
    public func functionValue() -> JSONValue { .number(self) }
}

extension Bool: FunctionValue {
    public static var jsonSchema: JSONValue { ["type": "boolean"] }
    public init(functionValue: JSONValue) throws {
        let value =
            functionValue.boolValue
            ?? functionValue.stringValue.flatMap { Bool($0.trimmingWhiteSpace().lowercased()) }
        guard let value else { throw ValueMismatch(functionValue, expected: "true or false") }
        self = value
    }
    public func functionValue() -> JSONValue { .bool(self) }
}

extension JSONValue: FunctionValue {
    public static var jsonSchema: JSONValue { [:] }
    public init(functionValue: JSONValue) { self = functionValue }
    public func functionValue() -> JSONValue { self }
}

extension Optional: FunctionValue where Wrapped: FunctionValue {
    public static var jsonSchema: JSONValue { Wrapped.jsonSchema }
    public init(functionValue: JSONValue) throws {
        self = functionValue == .null ? nil : try Wrapped(functionValue: functionValue)
    }
    public func functionValue() throws -> JSONValue { try self?.functionValue() ?? .null }
}

extension Array: FunctionValue where Element: FunctionValue {
    public static var jsonSchema: JSONValue { ["type": "array", "items": Element.jsonSchema] }
    public init(functionValue: JSONValue) throws {
        guard let elements = functionValue.arrayValue else {
            throw ValueMismatch(functionValue, expected: "an array")
        }
        self = try elements.map { try Element(functionValue: $0) }
    }
    public func functionValue() throws -> JSONValue { .array(try map { try $0.functionValue() }) }
}
