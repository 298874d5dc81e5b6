// The bodies of requests and answers. Members that are not mentioned here are ignored in requests.

/// Registering, looking up and checking a schema.
struct SchemaRequest: Decodable, Sendable {
    var schema: String?
    /// Absent for Avro.
    var schemaType: String?
    var references: [SchemaReference]?
    /// The id that the schema shall get, which only an import may choose; absent or negative for any.
    var id: Int32?
    /// The version that the schema shall get; absent, 0 or negative for the next one.
    var version: Int32?

    var wantedID: Int64? { id.flatMap { $0 >= 0 ? Int64($0) : nil } }
    var wantedVersion: Int32? { version.flatMap { $0 > 0 ? $0 : nil } }
}

struct SchemaIDAnswer: Encodable, Sendable {
    var id: Int64
}

struct SchemaAnswer: Encodable, Sendable {
    var schema: String
    /// Absent when there are none.
    var references: [SchemaReference]?
    /// The highest id of the registry, if asked for.
    var maxId: Int64?

    init(_ stored: StoredSchema, maxId: Int64?) {
        schema = stored.text
        references = stored.references.isEmpty ? nil : stored.references
        self.maxId = maxId
    }
}

struct VersionAnswer: Encodable, Sendable {
    var subject: String
    var version: Int32
    var id: Int64
    var schema: String
    /// Absent when there are none.
    var references: [SchemaReference]?

    init(_ stored: StoredVersion) {
        subject = stored.subject
        version = stored.version
        id = stored.schema.id
        schema = stored.schema.text
        references = stored.schema.references.isEmpty ? nil : stored.schema.references
    }
}

struct SubjectVersionAnswer: Encodable, Sendable {
    var subject: String
    var version: Int32
}

struct CompatibilityAnswer: Encodable, Sendable {
    enum CodingKeys: String, CodingKey {
        case isCompatible = "is_compatible"
        case messages
    }

    var isCompatible: Bool
    var messages: [String]
}

/// PUT /config: request and answer.
struct ConfigUpdate: Codable, Sendable {
    var compatibility: String?
}

/// GET and DELETE /config.
struct ConfigAnswer: Encodable, Sendable {
    var compatibilityLevel: String
}

/// /mode: request and answer.
struct ModeMessage: Codable, Sendable {
    var mode: String?
}

struct ErrorAnswer: Encodable, Sendable {
    enum CodingKeys: String, CodingKey {
        case code = "error_code"
        case message
    }

    var code: Int
    var message: String
}
