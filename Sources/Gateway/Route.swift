import HTTPTypes

/// What a request asks for.
enum Route: Sendable, Hashable {
    case trigger
    case status(workflowID: String)
    case cancel(workflowID: String)
    case definitions
    case members
    case placement
    case metrics
    case live
    case ready

    /// For metrics: without the id.
    var name: String {
        switch self {
        case .trigger: "trigger"
        case .status: "status"
        case .cancel: "cancel"
        case .definitions: "definitions"
        case .members: "members"
        case .placement: "placement"
        case .metrics: "metrics"
        case .live: "live"
        case .ready: "ready"
        }
    }

    /// - Parameters:
    ///   - method: HEAD counts as GET.
    ///   - path: the path as it was sent, percent-encoded.
    /// - Throws: ``Problem``: 404 for a path that is not there, 405 with `Allow` for another method, 400 for a workflow
    ///   id that cannot be one.
    init(method: HTTPRequest.Method, path: String) throws(Problem) {
        let method = method == .head ? .get : method
        switch path {
        case "/v1/workflows": self = try Route.choose(method, path, [.post: .trigger])
        case "/v1/workflow-definitions": self = try Route.choose(method, path, [.get: .definitions])
        case "/v1/cluster/members": self = try Route.choose(method, path, [.get: .members])
        case "/v1/cluster/placement": self = try Route.choose(method, path, [.get: .placement])
        case "/metrics": self = try Route.choose(method, path, [.get: .metrics])
        case "/health/live": self = try Route.choose(method, path, [.get: .live])
        case "/health/ready": self = try Route.choose(method, path, [.get: .ready])
        default:
            guard let route = try Route.ofWorkflow(method, path) else {
                throw Problem(
                    .notFound, "notFound", "there is nothing at \(path)",
                    nextStep: "the API is POST /v1/workflows, GET and DELETE /v1/workflows/{id}, "
                        + "POST /v1/workflows/{id}/cancel, GET /v1/workflow-definitions, GET /v1/cluster/members, "
                        + "GET /v1/cluster/placement, "
                        + "GET /metrics, /health/live, /health/ready")
            }
            self = route
        }
    }

    /// `/v1/workflows/{id}`, `/v1/workflows/{id}/cancel`; `nil` for other paths.
    private static func ofWorkflow(_ method: HTTPRequest.Method, _ path: String) throws(Problem) -> Route? {
        let prefix = "/v1/workflows/"
        guard path.hasPrefix(prefix) else { return nil }
        let parts = path.utf8.dropFirst(prefix.utf8.count).split(
            separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        let segment = String(Substring(parts[0]))
        guard parts.count == 1 else {
            guard parts[1].elementsEqual("cancel".utf8) else { return nil }
            return try choose(method, path, [.post: .cancel(workflowID: workflowID(segment))])
        }
        guard !segment.isEmpty else { return nil }
        let id = try workflowID(segment)
        return try choose(method, path, [.get: .status(workflowID: id), .delete: .cancel(workflowID: id)])
    }

    private static func choose(
        _ method: HTTPRequest.Method, _ path: String, _ routes: [HTTPRequest.Method: Route]
    ) throws(Problem) -> Route {
        if let route = routes[method] { return route }
        let allowed = (routes.keys.map(\.rawValue) + (routes[.get] == nil ? [] : ["HEAD"])).sorted()
        var problem = Problem(
            .methodNotAllowed, "methodNotAllowed", "\(method.rawValue) is not possible at \(path)",
            nextStep: "use \(allowed.joined(separator: " or "))")
        problem.allow = allowed.joined(separator: ", ")
        throw problem
    }

    private static func workflowID(_ segment: String) throws(Problem) -> String {
        guard let id = segment.percentDecoded, (1...512).contains(id.utf8.count), !id.utf8.contains(0) else {
            throw Problem(
                .badRequest, "invalidArgument", "\"\(segment)\" cannot be a workflow id",
                nextStep: "use the id of the answer to POST /v1/workflows, percent-encoded")
        }
        return id
    }
}

extension String {
    /// `nil` for a broken escape or bytes that are not UTF-8.
    var percentDecoded: String? {
        guard utf8.contains(UInt8(ascii: "%")) else { return self }
        var decoded: [UInt8] = []
        var rest = Substring(self).utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(String.hexadecimalDigit),
                let low = rest.popFirst().flatMap(String.hexadecimalDigit)
            else { return nil }
            decoded.append(high << 4 | low)
        }
        return String(validating: decoded, as: UTF8.self)
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

/// How long a GET may wait for the workflow to end: `30s`, `500ms`, or seconds as a bare number.
enum WaitParameter {
    /// - Parameter query: the request's query, percent-encoded, without the question mark.
    /// - Returns: `nil` if there is no `wait`.
    /// - Throws: ``Problem`` 400 for an unknown parameter or a `wait` that is not 0 to `maximum`.
    static func read(query: String?, maximum: Duration) throws(Problem) -> Duration? {
        var wait: Duration?
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts[0] == "wait" else {
                throw Problem(
                    .badRequest, "invalidArgument", "unknown parameter \"\(parts[0])\"",
                    nextStep: "the only one is wait")
            }
            guard wait == nil, parts.count == 2, let value = parts[1].percentDecoded, let duration = duration(value),
                duration <= maximum
            else {
                throw Problem(
                    .badRequest, "invalidArgument", "wait=\(parts.count == 2 ? parts[1] : "") is not a time to wait",
                    nextStep: "give it once, as 30s, 500ms or 30, at most \(maximum.components.seconds)s")
            }
            wait = duration
        }
        return wait
    }

    static func duration(_ text: String) -> Duration? {
        let (digits, isMilliseconds): (Substring, Bool) =
            text.hasSuffix("ms")
            ? (text.dropLast(2), true) : text.hasSuffix("s") ? (text.dropLast(1), false) : (text[...], false)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), digits.utf8.count <= 9,
            let number = Int64(digits)
        else { return nil }
        return isMilliseconds ? .milliseconds(number) : .seconds(number)
    }
}
