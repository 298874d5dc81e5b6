import Hummingbird

/// An answer that is not a success: `{"error_code": …, "message": …}` with the codes of Confluent's registry.
struct RegistryError: Error, Sendable, Hashable {
    var status: HTTPResponse.Status
    var code: Int
    var message: String

    private init(_ status: HTTPResponse.Status, _ code: Int, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    /// An error of HTTP itself; the code is the status.
    init(_ status: HTTPResponse.Status, _ detail: String? = nil) {
        self.init(status, status.code, detail ?? "HTTP \(status.code) \(status.reasonPhrase)")
    }

    /// There is nothing at this path.
    static let notFound = RegistryError(.notFound)

    static let bodyTooLarge = RegistryError(
        .contentTooLarge, "the body is larger than \(LocalRegistry.maximumBodyBytes) bytes")

    static func subjectNotFound(_ subject: String) -> RegistryError {
        RegistryError(.notFound, 40401, "Subject '\(subject)' not found.")
    }

    static func versionNotFound(_ version: String) -> RegistryError {
        RegistryError(.notFound, 40402, "Version \(version) not found.")
    }

    static let schemaNotFound = RegistryError(.notFound, 40403, "Schema not found")

    static func schemaNotFound(id: String) -> RegistryError {
        RegistryError(.notFound, 40403, "Schema \(id) not found")
    }

    static func subjectSoftDeleted(_ subject: String) -> RegistryError {
        RegistryError(
            .notFound, 40404, "Subject '\(subject)' was soft deleted. Set permanent=true to delete permanently")
    }

    static func subjectNotSoftDeleted(_ subject: String) -> RegistryError {
        RegistryError(
            .notFound, 40405, "Subject '\(subject)' was not deleted first before being permanently deleted")
    }

    static func versionSoftDeleted(_ subject: String, _ version: Int32) -> RegistryError {
        RegistryError(
            .notFound, 40406,
            "Subject '\(subject)' Version \(version) was soft deleted. Set permanent=true to delete permanently")
    }

    static func versionNotSoftDeleted(_ subject: String, _ version: Int32) -> RegistryError {
        RegistryError(
            .notFound, 40407,
            "Subject '\(subject)' Version \(version) was not deleted first before being permanently deleted")
    }

    static func compatibilityNotSet(_ subject: String) -> RegistryError {
        RegistryError(
            .notFound, 40408, "Subject '\(subject)' does not have subject-level compatibility configured")
    }

    static func modeNotSet(_ subject: String) -> RegistryError {
        RegistryError(.notFound, 40409, "Subject '\(subject)' does not have subject-level mode configured")
    }

    static func incompatible(_ subject: String, _ objections: [String]) -> RegistryError {
        RegistryError(
            .conflict, 409,
            "Schema being registered is incompatible with an earlier schema for subject \"\(subject)\", "
                + "details: [\(objections.joined(separator: ", "))]")
    }

    static func invalidSchema(_ reason: String) -> RegistryError {
        RegistryError(.unprocessableContent, 42201, "Invalid schema: \(reason)")
    }

    static func invalidVersion(_ version: String) -> RegistryError {
        RegistryError(
            .unprocessableContent, 42202,
            "The specified version '\(version)' is not a valid version id. Allowed values are between [1, 2^31-1] "
                + "and the string \"latest\"")
    }

    static func invalidLevel(_ level: String) -> RegistryError {
        let allowed = CompatibilityLevel.allCases.map(\.rawValue).joined(separator: ", ")
        return RegistryError(
            .unprocessableContent, 42203,
            "Invalid compatibility level '\(level)'. Valid values are \(allowed)")
    }

    static func invalidMode(_ mode: String) -> RegistryError {
        let allowed = RegistryMode.allCases.map(\.rawValue).joined(separator: ", ")
        return RegistryError(.unprocessableContent, 42204, "Invalid mode '\(mode)'. Valid values are \(allowed)")
    }

    /// The subject's mode forbids it.
    static func notPermitted(_ reason: String) -> RegistryError {
        RegistryError(.unprocessableContent, 42205, reason)
    }

    static func referenced(_ place: SchemaPlace, by referrers: [StoredVersion]) -> RegistryError {
        let names = referrers.prefix(5).map { "'\($0.subject)' version \($0.version)" }.joined(separator: ", ")
        return RegistryError(
            .unprocessableContent, 42206,
            "One or more references exist to the schema '\(place.subject)' version \(place.version): "
                + "\(names)\(referrers.count > 5 ? " and \(referrers.count - 5) more" : "")")
    }

    static func referenceNotFound(_ reference: SchemaReference) -> RegistryError {
        .invalidSchema(
            "No schema reference found for subject \"\(reference.subject)\" and version \(reference.version) "
                + "(\(reference.name))")
    }

    static func invalidSubject(_ subject: String) -> RegistryError {
        RegistryError(.unprocessableContent, 42208, "The specified subject '\(subject)' is not a valid subject name.")
    }

    static let noSchemaIDLeft = RegistryError(
        .internalServerError, 50001, "No schema id is left: the highest one of 32 bits is taken")

    static let backend = RegistryError(.internalServerError, 50001, "Error in the backend data store")
}
