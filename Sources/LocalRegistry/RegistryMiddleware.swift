import Foundation
import Hummingbird
import Logging
import NIOCore

/// Turns every failure into the registry's error body.
struct RegistryErrors<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let failure: RegistryError
        do {
            return try await next(request, context)
        } catch let error as RegistryError {
            failure = error
        } catch let error as HTTPError {
            failure = RegistryError(error.status, error.body)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            context.logger.error("schema registry failed", metadata: ["error": "\(error)"])
            failure = .backend
        }
        let body = try RegistryMedia.encode(ErrorAnswer(code: failure.code, message: failure.message))
        return RegistryMedia.response(failure.status, body)
    }
}

/// Which media types are taken (else 415) and given (else 406).
struct RegistryMediaTypes<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        if request.method == .post || request.method == .put, let type = request.headers[.contentType] {
            guard RegistryMedia.consumed.contains(essence(type)) else {
                throw RegistryError(.unsupportedMediaType)
            }
        }
        let accepted = request.headers[values: .accept].flatMap { $0.split(separator: ",") }
        guard accepted.isEmpty || accepted.contains(where: isProduced) else {
            throw RegistryError(.notAcceptable)
        }
        return try await next(request, context)
    }

    /// The type without its parameters.
    private func essence(_ type: some StringProtocol) -> String {
        let end = type.firstIndex(of: ";") ?? type.endIndex
        return type[..<end].trimmingCharacters(in: .whitespaces).lowercased()
    }

    private func isProduced(_ range: Substring) -> Bool {
        guard ["*/*", "application/*"].contains(essence(range)) || RegistryMedia.produced.contains(essence(range))
        else { return false }
        // `q=0` says: not this one.
        let quality = range.split(separator: ";").dropFirst()
            .map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
            .first { $0.hasPrefix("q=") }
            .flatMap { Double($0.dropFirst(2)) }
        return quality != 0
    }
}

/// The media types of the interface, and answers in them.
enum RegistryMedia {
    static let standard = "application/vnd.schemaregistry.v1+json"
    static let produced: Set<String> = [standard, "application/vnd.schemaregistry+json", "application/json"]
    /// A body without a type counts as octets, which are taken, as Confluent's registry does.
    static let consumed = produced.union(["application/octet-stream"])

    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    static func response(_ status: HTTPResponse.Status, _ body: [UInt8]) -> Response {
        Response(
            status: status, headers: [.contentType: standard],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}
