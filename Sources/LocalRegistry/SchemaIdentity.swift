import Avro

/// When two texts are the same schema: the Parsing Canonical Form, and with it what decides how *other* data is read
/// with the schema: defaults, aliases and logical types. Spaces, the order of keys, documentation, shorthands and
/// unknown attributes do not matter.
///
/// The canonical form alone would be too little: a schema that only gives a field a default is another reader, and
/// keeping the old text under its id would undo the change.
struct SchemaIdentity: Hashable, Sendable {
    let text: String
    /// Of the canonical form; narrows the search down.
    let fingerprint: Int64

    init(_ schema: AvroSchema) {
        fingerprint = Int64(bitPattern: schema.fingerprint)
        var details: [String] = []
        for definition in schema.definitions {
            details.append(Self.aliases(definition.aliases.map(\.description)))
            switch definition.shape {
            case .record(let fields):
                for field in fields {
                    let value = field.defaultJSON?.text(sortedKeys: true) ?? ""
                    details.append(Self.aliases(field.aliases) + value + Self.logicalTypes(field.type))
                }
            case .enumeration(_, let defaultSymbol): details.append(defaultSymbol ?? "")
            case .fixed(_, let logicalType): details.append(logicalType ?? "")
            }
        }
        details.append(Self.logicalTypes(schema.root))
        text = schema.canonicalForm + "\n" + details.joined(separator: "\n")
    }

    private static func aliases(_ names: [String]) -> String { "[\(names.joined(separator: ","))]" }

    /// The logical types inside a type, at their places.
    private static func logicalTypes(_ type: AvroType) -> String {
        switch type {
        case .primitive(_, let logicalType): "(\(logicalType ?? ""))"
        case .array(let element), .map(let element): "(" + logicalTypes(element) + ")"
        case .union(let branches): "(" + branches.map(logicalTypes).joined() + ")"
        case .named: "()"
        }
    }
}
