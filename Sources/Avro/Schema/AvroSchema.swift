/// A parsed and validated Avro schema (specification 1.11).
///
/// Equality ignores spaces and the order of keys, nothing else: documentation and defaults count. Whether two
/// schemas describe the same bytes is what ``canonicalForm`` tells.
public struct AvroSchema: Sendable, Hashable {
    /// The longest text that is accepted, in bytes of UTF-8.
    public static let maximumTextSize = 1 << 20
    /// How deep types may nest.
    public static let maximumDepth = 64

    /// The text exactly as it was given: what a registry keeps.
    public let text: String
    /// The Parsing Canonical Form of the specification.
    public let canonicalForm: String
    /// The text without spaces and with sorted keys; documentation, defaults and unknown attributes kept.
    package let normalizedText: String
    /// ``normalizedText``, after those of the schemas that it refers to.
    private let normalizedForm: String
    package let root: AvroType
    /// Every record, enum and fixed type in the order of definition; those of referenced schemas come first, whether or
    /// not they are used.
    package let definitions: [AvroDefinition]

    /// - Parameter text: JSON text of at most ``maximumTextSize`` bytes.
    /// - Throws: ``AvroError`` with `invalidSchema`, saying where in the schema (a JSON pointer) and what.
    public init(parsing text: String) throws(AvroError) { try self.init(parsing: text, referenced: []) }

    /// Parses a schema that uses types of other schemas by their full names.
    ///
    /// - Parameters:
    ///   - text: JSON text; together with those of `referenced` at most ``maximumTextSize`` bytes.
    ///   - referenced: the other schemas, each after those whose types it uses itself.
    /// - Throws: ``AvroError`` with `invalidSchema`, saying where in the schema (a JSON pointer) and what.
    package init(parsing text: String, referenced: [String]) throws(AvroError) {
        let size = referenced.reduce(text.utf8.count) { $0 + $1.utf8.count }
        guard size <= AvroSchema.maximumTextSize else {
            let subject = referenced.isEmpty ? "a schema" : "a schema and what it refers to"
            throw AvroError(
                .invalidSchema, "\(subject) of \(size) bytes; at most \(AvroSchema.maximumTextSize) are accepted")
        }
        var parser = SchemaParser()
        var forms: [String] = []
        for other in referenced {
            do throws(AvroError) {
                let json = try JSONParser.parse(other)
                _ = try parser.parse(json)
                forms.append(json.text(sortedKeys: true))
            } catch {
                throw error.at("in a referenced schema")
            }
        }
        let json = try JSONParser.parse(text)
        root = try parser.parse(json)
        definitions = try SchemaChecker.check(parser.definitions)
        // Within one text the parser bounds how deep types nest; a reference may add to that.
        if !referenced.isEmpty { try SchemaChecker.checkDepth(of: root, definitions) }
        canonicalForm = CanonicalForm.text(of: root, definitions)
        normalizedText = json.text(sortedKeys: true)
        normalizedForm = (forms + [normalizedText]).joined(separator: "\n")
        self.text = text
    }

    /// The full name when the schema is a record, enum or fixed type.
    public var name: String? { rootDefinition?.name.description }

    /// CRC-64-AVRO of the canonical form, as the specification's single-object encoding uses it.
    public var fingerprint: UInt64 { CanonicalForm.fingerprint(canonicalForm) }

    public static func == (left: AvroSchema, right: AvroSchema) -> Bool { left.normalizedForm == right.normalizedForm }

    public func hash(into hasher: inout Hasher) { hasher.combine(normalizedForm) }

    package var rootDefinition: AvroDefinition? {
        guard case .named(let index) = root else { return nil }
        return definitions[index]
    }

    /// What a type is called in messages.
    package func describe(_ type: AvroType) -> String {
        switch type {
        case .primitive(let primitive, _): primitive.rawValue
        case .array(let element): "array of \(describe(element))"
        case .map(let element): "map of \(describe(element))"
        case .union(let branches): "[" + branches.map(describe).joined(separator: ", ") + "]"
        case .named(let index): "\(definitions[index].kind) \(definitions[index].name)"
        }
    }
}
