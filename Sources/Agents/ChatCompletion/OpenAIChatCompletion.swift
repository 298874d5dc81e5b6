public import HTTPClient
import Logging

/// A model behind a server that speaks OpenAI's chat completions: OpenAI itself, llama.cpp, vLLM, Ollama and others.
///
/// Passing failures (408, 409, 429, ≥ 500, a connection that fails or breaks) are tried again with growing waits, or
/// after the wait that the server asks for. A stream is tried again only until its first piece of text has been
/// handed over.
public struct OpenAIChatCompletion: ChatCompletion {
    /// How to reach the server.
    public struct Configuration: Sendable {
        /// For example `https://api.openai.com/v1`; `/chat/completions` is appended.
        public var baseURL: String
        /// Sent as `Authorization: Bearer`; `nil`: not sent.
        public var apiKey: String?
        public var model: String
        /// Sent as `OpenAI-Organization`.
        public var organization: String?
        /// Sent as `OpenAI-Project`.
        public var project: String?
        /// How long one request may take, the answer included. Default 600 s.
        public var timeout: Duration
        /// How often a request is sent in all. Default 3.
        public var maximumAttempts: Int

        public init(
            baseURL: String = "https://api.openai.com/v1", apiKey: String? = nil, model: String,
            organization: String? = nil, project: String? = nil, timeout: Duration = .seconds(600),
            maximumAttempts: Int = 3
        ) {
            self.baseURL = baseURL
            self.apiKey = apiKey
            self.model = model
            self.organization = organization
            self.project = project
            self.timeout = timeout
            self.maximumAttempts = maximumAttempts
        }
    }

    public let configuration: Configuration
    package var retryPolicy: RetryPolicy
    private let http: HTTPClient

    /// - Parameters:
    ///   - configuration: how to reach the server.
    ///   - http: sends the requests; it must outlive this value and is closed by its owner.
    public init(_ configuration: Configuration, http: HTTPClient) {
        self.configuration = configuration
        self.http = http
        retryPolicy = RetryPolicy(maximumAttempts: configuration.maximumAttempts)
    }

    public var providerName: String { "openai" }
    public var defaultModel: String { configuration.model }

    public func complete(_ request: ChatRequest) async throws(KernelError) -> ChatResponse {
        let model = request.settings.model ?? configuration.model
        let body = OpenAIRequestBody.bytes(request, model: model, isStreaming: false)
        var attempts = Attempts(retryPolicy, request.timeLeft)
        while true {
            do {
                let response = try await send(body, timeLeft: attempts.timeLeft)
                return try OpenAIResponseBody.response(response.body, requestedModel: model)
            } catch {
                try await attempts.wait(after: error)
            }
        }
    }

    public func stream(
        _ request: ChatRequest, receive: @Sendable (String) async throws -> Void
    ) async throws(KernelError) -> ChatResponse {
        let model = request.settings.model ?? configuration.model
        let body = OpenAIRequestBody.bytes(request, model: model, isStreaming: true)
        var attempts = Attempts(retryPolicy, request.timeLeft)
        while true {
            var hasDelivered = false
            do {
                return try await stream(body, model, attempts.timeLeft, receive, &hasDelivered)
            } catch {
                guard !hasDelivered else { throw error.error }
                try await attempts.wait(after: error)
            }
        }
    }

    private func send(_ body: [UInt8], timeLeft: Duration?) async throws(AttemptFailure) -> HTTPResponse {
        let response: HTTPResponse
        do {
            response = try await http.send(httpRequest(body, accept: "application/json", timeLeft))
        } catch {
            throw AttemptFailure(error)
        }
        guard response.status == 200 else { throw AttemptFailure(response.head, body: response.body) }
        return response
    }

    private func stream(
        _ body: [UInt8], _ model: String, _ timeLeft: Duration?,
        _ receive: @Sendable (String) async throws -> Void, _ hasDelivered: inout Bool
    ) async throws(AttemptFailure) -> ChatResponse {
        do {
            let response = try await http.stream(httpRequest(body, accept: "text/event-stream", timeLeft))
            guard response.head.status == 200 else {
                throw AttemptFailure(response.head, body: try await errorBody(of: response.body))
            }
            var events = ServerSentEvents()
            var answer = OpenAIStream(requestedModel: model)
            for try await chunk in response.body {
                for data in try events.append(chunk) {
                    try await deliver(try answer.receive(data), receive, &hasDelivered)
                }
                if answer.isDone { break }
            }
            for data in events.finish() { try await deliver(try answer.receive(data), receive, &hasDelivered) }
            return try answer.finish()
        } catch let failure as AttemptFailure {
            throw failure
        } catch let error as HTTPError {
            throw AttemptFailure(error)
        } catch {
            throw AttemptFailure(KernelError.wrapping(error, in: "reading the model's stream"))
        }
    }

    private func deliver(
        _ text: String, _ receive: @Sendable (String) async throws -> Void, _ hasDelivered: inout Bool
    ) async throws {
        guard !text.isEmpty else { return }
        hasDelivered = true
        try await receive(text)
    }

    /// An error's body is read up to 64 KiB: enough for its message.
    private func errorBody(of body: HTTPBody) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await chunk in body {
            bytes += chunk
            if bytes.count > 64 << 10 { break }
        }
        return bytes
    }

    private func httpRequest(_ body: [UInt8], accept: String, _ timeLeft: Duration?) -> HTTPRequest {
        var headers = [("Content-Type", "application/json"), ("Accept", accept)]
        if let key = configuration.apiKey { headers.append(("Authorization", "Bearer \(key)")) }
        if let organization = configuration.organization { headers.append(("OpenAI-Organization", organization)) }
        if let project = configuration.project { headers.append(("OpenAI-Project", project)) }
        var base = configuration.baseURL
        while base.hasSuffix("/") { base.removeLast() }
        let timeout = min(configuration.timeout, timeLeft ?? configuration.timeout)
        return HTTPRequest(
            method: "POST", url: "\(base)/chat/completions",
            headers: headers.map { (name: $0.0, value: $0.1) }, body: body, connectTimeout: .seconds(5),
            timeout: max(timeout, .milliseconds(1)))
    }
}
