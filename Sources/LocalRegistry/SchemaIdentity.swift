import Avro

/// When two texts are the same schema: their Parsing Canonical Forms are equal, and so is what the canonical form
/// leaves out although it decides how *other* data is read with the schema: defaults, aliases and logical types.
///
/// The canonical form alone would be too little. It says when two schemas read the *same* data alike, but a schema that
/// only gives a field a default is another reader; under one id, the text that was registered first would undo the
/// change. Confluent's registry compares more, the whole text as its parser prints it: there, documentation, unknown
/// attributes and (unless it is asked to normalise) their order make another schema. Here they do not, nor do spaces,
/// the order of keys and shorthands. So `normalize` changes only which text is kept, never which schema it is.
///
/// What a schema refers to counts as if it stood in its text.
struct SchemaIdentity: Hashable, Sendable {
    let text: String
    /// Of the canonical form; narrows the search down.
    let fingerprint: Int64

    init(_ schema: AvroSchema) {
        fingerprint = Int64(bitPattern: schema.fingerprint)
        var details = Details(definitions: schema.definitions)
        details.add(schema.root)
        text = schema.canonicalForm + "\n" + details.lines.joined(separator: "\n")
    }

    /// What the canonical form leaves out, in the order in which it names the types.
    private struct Details {
        let definitions: [AvroDefinition]
        private(set) var lines: [String] = []
        private var seen: Set<Int> = []

        init(definitions: [AvroDefinition]) { self.definitions = definitions }

        mutating func add(_ type: AvroType) {
            switch type {
            case .primitive(_, let logicalType): addLogicalType(logicalType)
            case .array(let element), .map(let element): add(element)
            case .union(let branches): for branch in branches { add(branch) }
            case .named(let index): if seen.insert(index).inserted { add(definitions[index]) }
            }
        }

        private mutating func add(_ definition: AvroDefinition) {
            addAliases(definition.aliases.map(\.description))
            switch definition.shape {
            case .record(let fields):
                for field in fields {
                    addAliases(field.aliases)
                    lines.append(field.defaultJSON?.text(sortedKeys: true) ?? "")
                    add(field.type)
                }
            case .enumeration(_, let defaultSymbol): lines.append(defaultSymbol ?? "")
            case .fixed(_, let logicalType): addLogicalType(logicalType)
            }
        }

        private mutating func addLogicalType(_ name: String?) {
            lines.append("(\(name.map(JSONValue.quoted) ?? ""))")
        }

        private mutating func addAliases(_ names: [String]) {
            lines.append("[\(names.joined(separator: ","))]")
        }
    }
}
