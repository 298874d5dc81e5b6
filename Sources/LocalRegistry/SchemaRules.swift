import Avro

/// A schema that a client sent, parsed with what it refers to.
struct CandidateSchema: Sendable {
    var schema: AvroSchema
    var identity: SchemaIdentity
    var references: [SchemaReference]
    /// What is kept if it is registered.
    var text: String
}

/// What may be registered, and which earlier versions count.
enum SchemaRules {
    /// - Parameters:
    ///   - references: those of the request with numbers for versions.
    ///   - referenced: the texts of what it refers to, each after those that it refers to itself.
    ///   - normalizes: whether to keep the text without spaces and with sorted keys.
    /// - Throws: ``RegistryError`` 42201 for anything but a valid Avro schema.
    static func parse(
        _ request: SchemaRequest, references: [SchemaReference], referenced: [String], normalizes: Bool
    ) throws(RegistryError) -> CandidateSchema {
        if let type = request.schemaType, type.uppercased() != "AVRO" {
            throw .invalidSchema("the schema type \(type) is not supported by this registry, only AVRO")
        }
        guard let text = request.schema, !text.isEmpty else { throw .invalidSchema("empty schema") }
        do {
            let schema = try AvroSchema(parsing: text, referenced: referenced)
            return CandidateSchema(
                schema: schema, identity: SchemaIdentity(schema), references: references,
                text: normalizes ? schema.normalizedText : text)
        } catch {
            throw .invalidSchema(error.message)
        }
    }

    /// The version that is this schema: one with the same references, or, for a schema without references, also one
    /// that says the same with references. As Confluent's registry does it: a client that resolves references itself
    /// sends such texts.
    static func find(_ candidate: CandidateSchema, in versions: [StoredVersion]) -> StoredVersion? {
        let same = versions.filter { $0.schema.identity == candidate.identity.text }
        let exact = same.last { Set($0.schema.references) == Set(candidate.references) }
        return exact ?? (candidate.references.isEmpty ? same.last : nil)
    }

    /// - Parameter versions: in ascending order.
    static func choose(
        _ choice: RegistryOperations.VersionChoice, from versions: [StoredVersion]
    ) throws(RegistryError) -> StoredVersion {
        let found =
            switch choice {
            case .latest: versions.last
            case .number(let number): versions.first { $0.version == number }
            }
        guard let found else { throw .versionNotFound("\(choice)") }
        return found
    }
}

extension RegistryStore {
    /// The level that is in force for a subject.
    func level(for subject: String) throws -> CompatibilityLevel {
        let value =
            try value(of: .compatibility, for: subject) ?? value(of: .compatibility, for: RegistryStore.global)
        return value.flatMap(CompatibilityLevel.init) ?? .standard
    }

    /// The mode that is in force for a subject.
    func mode(for subject: String) throws -> RegistryMode {
        let global = try value(of: .mode, for: RegistryStore.global).flatMap(RegistryMode.init) ?? .standard
        guard global != .readOnlyOverride else { return global }
        return try value(of: .mode, for: subject).flatMap(RegistryMode.init) ?? global
    }
}
