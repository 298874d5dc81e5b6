import Foundation
import Hummingbird
import NIOCore

// Parameters, bodies, answers.

extension RegistryRoutes {
    /// The subject of the path, decoded; any text without control characters is one.
    static func subject(_ context: Context) throws -> String {
        let raw = try context.parameters.require("subject")
        guard let subject = raw.removingPercentEncoding else { throw RegistryError.invalidSubject(raw) }
        let isPlain = subject.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
        guard !subject.isEmpty, isPlain, subject.utf8.count <= 1024 else {
            throw RegistryError.invalidSubject(subject)
        }
        return subject
    }

    static func version(_ context: Context) throws -> RegistryOperations.VersionChoice {
        try RegistryOperations.VersionChoice(try context.parameters.require("version"))
    }

    static func flag(_ name: String, _ request: Request) -> Bool {
        request.uri.queryParameters.get(name)?.lowercased() == "true"
    }

    static func body<Message: Decodable>(_ request: Request) async throws -> Message {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: LocalRegistry.maximumBodyBytes)
        } catch is NIOTooManyBytesError {
            throw RegistryError.bodyTooLarge
        }
        do {
            return try JSONDecoder().decode(Message.self, from: Data(buffer.readableBytesView))
        } catch {
            throw RegistryError(.badRequest, "the body is not the JSON that this call takes: \(reason(error))")
        }
    }

    /// What is wrong with a body, in words for people.
    private static func reason(_ error: any Error) -> String {
        let context: DecodingError.Context? =
            switch error as? DecodingError {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
                .dataCorrupted(let context):
                context
            default: nil
            }
        guard let context else { return "it cannot be read" }
        let place = context.codingPath.map(\.stringValue).joined(separator: ".")
        return place.isEmpty ? context.debugDescription : "\(place): \(context.debugDescription)"
    }

    static func answer(_ value: some Encodable) throws -> Response {
        RegistryMedia.response(.ok, try RegistryMedia.encode(value))
    }

    /// A schema as it is, not inside another JSON value.
    static func rawAnswer(_ schema: String) -> Response {
        RegistryMedia.response(.ok, Array(schema.utf8))
    }
}
