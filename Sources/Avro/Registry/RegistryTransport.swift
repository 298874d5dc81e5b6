import Foundation
import HTTPClient
import OrchestraCore

/// The registry's REST calls: addresses, retries, errors, and the shapes of requests and replies.
struct RegistryTransport: Sendable {
    private let configuration: SchemaRegistryClient.Configuration
    private let http: HTTPClient
    private let baseURL: String
    private let headers: [(name: String, value: String)]

    private static let mediaType = "application/vnd.schemaregistry.v1+json"

    init(_ configuration: SchemaRegistryClient.Configuration, http: HTTPClient) {
        self.configuration = configuration
        self.http = http
        var url = configuration.url
        while url.hasSuffix("/") { url.removeLast() }
        baseURL = url
        var headers = [
            (name: "Accept", value: "\(RegistryTransport.mediaType), application/json"),
            (name: "Content-Type", value: RegistryTransport.mediaType),
        ]
        if let username = configuration.username {
            let credentials = Data("\(username):\(configuration.password ?? "")".utf8).base64EncodedString()
            headers.append((name: "Authorization", value: "Basic \(credentials)"))
        }
        self.headers = headers
    }

    /// - Parameter what: what is being tried, for messages: "register X as Y".
    /// - Returns: the body of a reply with a status of 2xx.
    func call(
        _ method: String, _ path: String, body: JSONValue? = nil, what: String
    ) async throws(OrchestraError) -> JSONValue {
        let request = HTTPRequest(
            method: method, url: baseURL + path, headers: headers, body: body.map { Array($0.text().utf8) } ?? [],
            connectTimeout: configuration.connectTimeout, timeout: configuration.requestTimeout)
        var attempt = 1
        while true {
            let failure: OrchestraError
            switch await exchange(request) {
            case .success(let response) where 200..<300 ~= response.status:
                return try RegistryTransport.parse(response, what: what)
            case .success(let response):
                failure = error(response, what: what)
                guard RegistryTransport.isRetriable(response.status) else { throw failure }
            case .failure(let error):
                failure = OrchestraError(
                    .unavailable, "could not \(what): \(error.message)",
                    nextStep: "check that the schema registry at \(RegistryTransport.shown(baseURL)) is up",
                    cause: error)
                guard error.isRetriable else { throw failure }
            }
            guard attempt < configuration.maximumAttempts else { throw failure }
            try await pause(afterAttempt: attempt, failure)
            attempt += 1
        }
    }

    private func exchange(_ request: HTTPRequest) async -> Result<HTTPResponse, HTTPError> {
        do throws(HTTPError) {
            return .success(try await http.send(request))
        } catch {
            return .failure(error)
        }
    }

    private func pause(afterAttempt attempt: Int, _ failure: OrchestraError) async throws(OrchestraError) {
        let longest = min(configuration.firstPause * (1 << min(attempt - 1, 10)), .seconds(5))
        do {
            try await Task.sleep(for: longest * Double.random(in: 0.5...1))
        } catch {
            throw failure
        }
    }

    private static func isRetriable(_ status: Int) -> Bool { status >= 500 || status == 429 || status == 408 }

    private func error(_ response: HTTPResponse, what: String) -> OrchestraError {
        let text = String(decoding: response.body.prefix(2000), as: UTF8.self)
        let json = try? JSONParser.parse(String(decoding: response.body, as: UTF8.self))
        var words = text.isEmpty ? "status \(response.status)" : "status \(response.status): \(text)"
        if case .string(let message) = json?["message"] {
            words = message
            if case .number(let code) = json?["error_code"] { words += " (\(code))" }
        }
        let message = "could not \(what): the schema registry says: \(words)"
        switch response.status {
        case 401, 403:
            return OrchestraError(
                .badConfiguration, message, nextStep: "check the user name and password for the schema registry")
        case 404: return OrchestraError(.notFound, message)
        case 409:
            return OrchestraError(
                .conflict, message,
                nextStep: "change the schema so that it can read what has been written: give new fields defaults")
        case let status where RegistryTransport.isRetriable(status): return OrchestraError(.unavailable, message)
        default: return OrchestraError(.invalidArgument, message)
        }
    }

    private static func parse(_ response: HTTPResponse, what: String) throws(OrchestraError) -> JSONValue {
        do throws(AvroError) {
            return try JSONParser.parse(String(decoding: response.body, as: UTF8.self))
        } catch {
            throw unexpected(what, error)
        }
    }

    /// A URL without the credentials it may carry.
    private static func shown(_ url: String) -> String {
        guard let schemeEnd = url.firstRange(of: "://")?.upperBound, let at = url.lastIndex(of: "@") else { return url }
        return String(url[..<schemeEnd]) + url[url.index(after: at)...]
    }

    // MARK: Shapes

    static func encoded(_ subject: String) -> String {
        subject.utf8.map { byte in
            let scalar = Unicode.Scalar(byte)
            let isUnreserved = byte < 0x80 && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            if isUnreserved || "-._~".unicodeScalars.contains(scalar) { return String(Character(scalar)) }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }

    static func body(_ schema: AvroSchema) -> JSONValue {
        .object([
            JSONValue.Member(name: "schema", value: .string(schema.text)),
            JSONValue.Member(name: "schemaType", value: .string("AVRO")),
            JSONValue.Member(name: "references", value: .array([])),
        ])
    }

    static func id(_ reply: JSONValue, what: String) throws(OrchestraError) -> Int32 {
        guard case .number(let text) = reply["id"], let id = Int32(text) else { throw unexpected(what) }
        return id
    }

    /// - Parameter referenced: the texts of what the schema refers to, each after those that it refers to itself.
    static func schema(
        _ reply: JSONValue, referenced: [String], what: String
    ) throws(OrchestraError) -> AvroSchema {
        let text = try schemaText(reply, what: what)
        do throws(AvroError) {
            return try AvroSchema(parsing: text, referenced: referenced)
        } catch {
            throw OrchestraError(.invalidArgument, "could not \(what): it is not valid: \(error.message)", cause: error)
        }
    }

    static func schemaText(_ reply: JSONValue, what: String) throws(OrchestraError) -> String {
        guard case .string(let text) = reply["schema"] else { throw unexpected(what) }
        if case .string(let type) = reply["schemaType"], type != "AVRO" {
            throw OrchestraError(.invalidArgument, "could not \(what): it is a schema of type \(type), not AVRO")
        }
        return text
    }

    /// The versions of subjects that a schema refers to.
    static func references(
        _ reply: JSONValue, what: String
    ) throws(OrchestraError) -> [SchemaRegistryClient.Reference] {
        guard case .array(let elements) = reply["references"] else { return [] }
        var references: [SchemaRegistryClient.Reference] = []
        for element in elements {
            guard case .string(let subject) = element["subject"], case .number(let text) = element["version"],
                let version = Int32(text)
            else { throw unexpected(what) }
            references.append(SchemaRegistryClient.Reference(subject: subject, version: version))
        }
        return references
    }

    static func version(
        _ reply: JSONValue, schema: AvroSchema, what: String
    ) throws(OrchestraError) -> SchemaRegistryClient.SubjectVersion {
        guard case .string(let subject) = reply["subject"], case .number(let version) = reply["version"],
            let number = Int(version)
        else { throw unexpected(what) }
        return SchemaRegistryClient.SubjectVersion(
            subject: subject, version: number, id: try id(reply, what: what), schema: schema)
    }

    static func compatibility(
        _ reply: JSONValue, what: String
    ) throws(OrchestraError) -> SchemaRegistryClient.Compatibility {
        guard case .boolean(let isCompatible) = reply["is_compatible"] else { throw unexpected(what) }
        var messages: [String] = []
        if case .array(let elements) = reply["messages"] {
            for case .string(let message) in elements { messages.append(message) }
        }
        return SchemaRegistryClient.Compatibility(isCompatible: isCompatible, messages: messages)
    }

    private static func unexpected(_ what: String, _ cause: (any Error)? = nil) -> OrchestraError {
        OrchestraError(
            .unavailable, "could not \(what): the answer is not one of a schema registry",
            nextStep: "check the schema registry's URL", cause: cause)
    }
}
