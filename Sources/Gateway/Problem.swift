import HTTPTypes
import Hummingbird
import NIOCore
import OrchestraCore

/// An error answer: `application/problem+json` as RFC 9457 has it, with the stable `code` of ``OrchestraError`` and a
/// `nextStep` that says what to do.
struct Problem: Error, Sendable {
    var status: HTTPResponse.Status
    /// Stable; also the last part of `type`.
    var code: String
    var detail: String
    var nextStep: String?
    /// Seconds after which trying again makes sense; goes into `Retry-After`.
    var retryAfter: Int?
    /// The methods that are allowed here, for 405.
    var allow: String?
    /// Further members, names and values.
    var members: [(name: String, value: JSONOutput)] = []
    /// Whether the connection ends with this answer, because the rest of the request is not wanted.
    var closesConnection = false

    init(
        _ status: HTTPResponse.Status, _ code: String, _ detail: String, nextStep: String? = nil, retryAfter: Int? = nil
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.nextStep = nextStep
        self.retryAfter = retryAfter
    }

    /// - Parameter path: the request's path, the problem's `instance`.
    func response(path: String) -> Response {
        var fields: [(String, JSONOutput)] = [
            ("type", .string("urn:orchestra:problem:\(code)")),
            ("title", .string(status.reasonPhrase)),
            ("status", .integer(status.code)),
            ("code", .string(code)),
            ("detail", .string(detail)),
            ("instance", .string(path)),
        ]
        if let nextStep { fields.append(("nextStep", .string(nextStep))) }
        fields += members.map { ($0.name, $0.value) }
        var response = Response.json(status, .object(fields), contentType: "application/problem+json")
        if let retryAfter { response.headers[.retryAfter] = String(retryAfter) }
        if let allow { response.headers[.allow] = allow }
        if closesConnection { response.headers[.connection] = "close" }
        return response
    }
}

extension Problem {
    /// What a caller over HTTP is told of an error of the runtime.
    init(_ error: OrchestraError) {
        let (status, retryAfter): (HTTPResponse.Status, Int?) =
            switch error.code {
            case .invalidArgument: (.badRequest, nil)
            case .notFound: (.notFound, nil)
            case .conflict: (.conflict, nil)
            case .tooLarge: (.contentTooLarge, nil)
            case .overloaded, .unavailable, .notOwner: (.serviceUnavailable, 1)
            case .deadlineExceeded, .outcomeUnknown: (.gatewayTimeout, 1)
            case .handlerFailed: (.unprocessableContent, nil)
            case .unimplemented: (.notImplemented, nil)
            default: (.internalServerError, nil)
            }
        self.init(status, error.code.rawValue, error.message, nextStep: error.nextStep, retryAfter: retryAfter)
    }
}

extension Response {
    /// A JSON answer with the headers that every answer of a gateway has.
    static func json(
        _ status: HTTPResponse.Status, _ body: JSONOutput, contentType: String = "application/json"
    ) -> Response {
        json(status, text: body.encoded(), contentType: contentType)
    }

    /// The same for JSON in UTF-8.
    static func json(
        _ status: HTTPResponse.Status, text: [UInt8], contentType: String = "application/json"
    ) -> Response {
        var body = ByteBuffer()
        body.reserveCapacity(text.count + 1)
        body.writeBytes(text)
        body.writeInteger(UInt8(ascii: "\n"))
        return encoded(status, body, contentType: contentType)
    }

    /// The same for a body of any kind.
    static func encoded(
        _ status: HTTPResponse.Status, _ body: ByteBuffer, contentType: String = "application/json"
    ) -> Response {
        var headers = HTTPFields()
        headers.reserveCapacity(8)
        headers[.contentType] = contentType
        headers[.cacheControl] = "no-store"
        headers[.xContentTypeOptions] = "nosniff"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
    }
}
