/// Any Avro value, for data whose schema is known only when the program runs.
public indirect enum AvroValue: Sendable, Hashable {
    case null
    case boolean(Bool)
    case int(Int32)
    case long(Int64)
    case float(Float)
    case double(Double)
    case bytes([UInt8])
    case string(String)
    case fixed([UInt8])
    /// The symbol's name.
    case enumeration(String)
    case array([AvroValue])
    case map([String: AvroValue])
    /// The fields in the order of the schema.
    case record([Field])
    /// The branch's index in the union and its value.
    case union(branch: Int, AvroValue)

    /// One field of a record value.
    public struct Field: Sendable, Hashable {
        public var name: String
        public var value: AvroValue

        public init(name: String, value: AvroValue) {
            self.name = name
            self.value = value
        }
    }

    /// What the value is, for error messages.
    package var kind: String {
        switch self {
        case .null: "null"
        case .boolean: "boolean"
        case .int: "int"
        case .long: "long"
        case .float: "float"
        case .double: "double"
        case .bytes: "bytes"
        case .string: "string"
        case .fixed: "fixed"
        case .enumeration: "enum"
        case .array: "array"
        case .map: "map"
        case .record: "record"
        case .union: "union"
        }
    }
}
