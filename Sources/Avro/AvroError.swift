public import OrchestraCore

/// Why Avro data, a schema or the registry could not be used: a code for programs, a message for people.
public struct AvroError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A stable, machine-readable name of a failure.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public var rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        public var description: String { rawValue }

        /// The bytes do not begin with Confluent's magic byte and schema id.
        public static let notFramed = Code(rawValue: "notFramed")
        /// The data ends in the middle of a value.
        public static let endOfData = Code(rawValue: "endOfData")
        /// There are bytes left after the value.
        public static let trailingBytes = Code(rawValue: "trailingBytes")
        /// A number, length, branch or symbol in the data is not one that the schema allows.
        public static let malformed = Code(rawValue: "malformed")
        /// A string in the data is not UTF-8.
        public static let invalidUTF8 = Code(rawValue: "invalidUTF8")
        /// The data would nest or grow beyond the limits of the decoder.
        public static let limitExceeded = Code(rawValue: "limitExceeded")
        /// The text is not a valid Avro schema.
        public static let invalidSchema = Code(rawValue: "invalidSchema")
        /// The writer's schema cannot be read as the reader's.
        public static let incompatibleSchema = Code(rawValue: "incompatibleSchema")
        /// The data was written as another record type than the one asked for.
        public static let wrongRecord = Code(rawValue: "wrongRecord")
        /// The registry does not know the schema id that the data names.
        public static let unknownSchemaID = Code(rawValue: "unknownSchemaID")
        /// The registry did not answer: trying again may help.
        public static let registryUnavailable = Code(rawValue: "registryUnavailable")
        /// The record type was not registered before it was encoded: a mistake in the program.
        public static let notRegistered = Code(rawValue: "notRegistered")
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Whether the same call may succeed later without any change: only when the registry was out of reach.
    public var isRetriable: Bool { code == .registryUnavailable }

    public var description: String { "\(code): \(message)" }

    /// The same failure for callers that speak ``OrchestraError``.
    public var orchestraError: OrchestraError {
        switch code {
        case .registryUnavailable: OrchestraError(.unavailable, message, cause: self)
        case .notRegistered: OrchestraError(.internalError, message, cause: self)
        default: OrchestraError(.invalidArgument, message, cause: self)
        }
    }

    /// The same error with the place where it happened in front of the message.
    package func at(_ place: String) -> AvroError { AvroError(code, "\(place): \(message)") }
}
