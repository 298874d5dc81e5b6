import OrchestraCore

/// JSON as schemas need it: numbers keep their text, objects their order, and errors say where they are.
package indirect enum JSONValue: Sendable, Hashable {
    case null
    case boolean(Bool)
    /// The number as it was written.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    package struct Member: Sendable, Hashable {
        package var name: String
        package var value: JSONValue

        package init(name: String, value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The member of an object; `nil` for other values and when it is absent.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// What the value is, for error messages.
    package var kind: String {
        switch self {
        case .null: "null"
        case .boolean: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// Compact JSON text.
    ///
    /// - Parameter sortedKeys: whether the members of objects are put in the order of their names, so that texts
    ///   which differ only in spaces and key order become equal.
    package func text(sortedKeys: Bool = false) -> String {
        switch self {
        case .null: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .number(let text): return text
        case .string(let value): return JSONValue.quoted(value)
        case .array(let elements):
            return "[" + elements.map { $0.text(sortedKeys: sortedKeys) }.joined(separator: ",") + "]"
        case .object(let members):
            let ordered = sortedKeys ? members.sorted { $0.name < $1.name } : members
            let texts = ordered.map { JSONValue.quoted($0.name) + ":" + $0.value.text(sortedKeys: sortedKeys) }
            return "{" + texts.joined(separator: ",") + "}"
        }
    }

    /// A JSON string literal; escapes only what JSON demands.
    package static func quoted(_ string: String) -> String {
        var text: [UInt8] = []
        text.appendJSONString(string)
        return String(decoding: text, as: UTF8.self)
    }
}
