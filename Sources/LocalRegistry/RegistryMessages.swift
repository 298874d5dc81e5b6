// The bodies of requests and answers. Members that are not mentioned here are ignored in requests.

/// Registering, looking up and checking a schema.
struct SchemaRequest: Decodable, Sendable {
    struct Reference: Codable, Sendable, Hashable {
        var name: String
        var subject: String
        var version: Int32
    }

    var schema: String?
    /// Absent for Avro.
    var schemaType: String?
    var references: [Reference]?
}

struct SchemaIDAnswer: Encodable, Sendable {
    var id: Int64
}

struct SchemaAnswer: Encodable, Sendable {
    var schema: String
    /// The highest id of the registry, if asked for.
    var maxId: Int64?
}

struct VersionAnswer: Encodable, Sendable {
    var subject: String
    var version: Int32
    var id: Int64
    var schema: String

    init(_ stored: StoredVersion) {
        subject = stored.subject
        version = stored.version
        id = stored.schemaID
        schema = stored.text
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
