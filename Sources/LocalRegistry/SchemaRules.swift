import Avro

/// What a schema must be to be registered, and which earlier ones it is compared with.
enum SchemaRules {
    /// - Throws: ``RegistryError`` 42201 for anything but a valid Avro schema.
    static func parse(_ request: SchemaRequest) throws(RegistryError) -> AvroSchema {
        if let type = request.schemaType, type.uppercased() != "AVRO" {
            throw .invalidSchema("the schema type \(type) is not supported by this registry, only AVRO")
        }
        guard let text = request.schema, !text.isEmpty else { throw .invalidSchema("empty schema") }
        if let reference = request.references?.first {
            throw .invalidSchema(
                "references (here to \(reference.subject)) are not supported by this registry; "
                    + "write the referenced types into the schema")
        }
        do {
            return try AvroSchema(parsing: text)
        } catch {
            throw .invalidSchema(error.message)
        }
    }

    static func parsed(_ versions: [StoredVersion]) throws -> [(version: Int32, schema: AvroSchema)] {
        try versions.map { (version: $0.version, schema: try AvroSchema(parsing: $0.text)) }
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
        let value = try value(of: .mode, for: subject) ?? value(of: .mode, for: RegistryStore.global)
        return value.flatMap(RegistryMode.init) ?? .standard
    }
}
