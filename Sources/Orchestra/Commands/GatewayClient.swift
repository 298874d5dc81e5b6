import Foundation
import Gateway
import HTTPClient
import OrchestraCore

/// Triggers workflows and waits for them over a gateway's HTTP API.
struct GatewayClient: Sendable {
    /// The most that a gateway accepts as a workflow's input, in bytes of UTF-8.
    static let maximumInputSize = GatewayLimits().maximumInputSize
    /// How long a gateway may be away or busy before that is an error.
    private static let patience: Duration = .seconds(30)

    let url: String
    let http: HTTPClient

    /// What the gateway said last about a workflow.
    struct Answer: Sendable {
        var workflowID: String
        var status: String
        var output: String?
        var error: String?
        /// The answer as it was sent.
        var json: String

        var isFinal: Bool { ["completed", "failed", "cancelled"].contains(status) }
    }

    /// Triggers a workflow and waits until it has ended.
    ///
    /// - Parameter progress: gets a line for each change.
    func run(
        workflow: String, input: String, idempotencyKey: String, progress: (String) -> Void
    ) async throws -> Answer {
        let start = ContinuousClock.now
        var answer = try await trigger(
            workflow: workflow, input: input, idempotencyKey: idempotencyKey, progress: progress)
        progress("\(answer.workflowID) \(answer.status)")
        while !answer.isFinal {
            let next = try await ask(answer.workflowID, progress: progress)
            if next.status != answer.status {
                progress("\(next.workflowID) \(next.status) after \((ContinuousClock.now - start).secondsText)")
            }
            answer = next
        }
        return answer
    }

    private func trigger(
        workflow: String, input: String, idempotencyKey: String, progress: (String) -> Void
    ) async throws -> Answer {
        let body = try JSONEncoder().encode(["workflow": workflow, "input": input])
        let request = HTTPRequest(
            method: "POST", url: "\(url)/v1/workflows",
            headers: [
                (name: "content-type", value: "application/json"), (name: "idempotency-key", value: idempotencyKey),
            ], body: Array(body), connectTimeout: .seconds(5), timeout: .seconds(30))
        return try await send(request, progress: progress)
    }

    private func ask(_ workflowID: String, progress: (String) -> Void) async throws -> Answer {
        try await send(
            HTTPRequest(
                method: "GET", url: "\(url)/v1/workflows/\(workflowID)?wait=30s", headers: [], body: [],
                connectTimeout: .seconds(5), timeout: .seconds(60)), progress: progress)
    }

    /// What came of sending a request once.
    private enum Attempt {
        case answered(Answer)
        case refused(OrchestraError, tryAgainAfter: Duration?)
    }

    /// Sends a request that may be repeated, and repeats it while the gateway is away or says that it is busy.
    private func send(_ request: HTTPRequest, progress: (String) -> Void) async throws -> Answer {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            switch try await attempt(request) {
            case .answered(let answer):
                return answer
            case .refused(let error, let pause):
                guard let pause, ContinuousClock.now + pause < deadline else { throw error }
                progress("\(error.message); trying again")
                try await Task.sleep(for: pause)
            }
        }
    }

    private func attempt(_ request: HTTPRequest) async throws -> Attempt {
        let response: HTTPResponse
        do {
            response = try await http.send(request)
        } catch {
            let trouble = OrchestraError(
                .unavailable, "the gateway at \(url) cannot be reached: \(error.message)",
                nextStep: "start a cluster with `make up` or `\(programName) up`, or name a gateway with --gateway")
            // Nobody there from the beginning is said at once; a gateway that goes away meanwhile is waited for.
            let isWorthWaiting = error.isRetriable && !(error.kind == .connect && request.method == "POST")
            return .refused(trouble, tryAgainAfter: isWorthWaiting ? .milliseconds(500) : nil)
        }
        if (200...299).contains(response.status) { return .answered(try Self.answer(from: response)) }
        let problem = Self.problem(from: response)
        guard response.status == 503 || response.status == 429 else { return .refused(problem, tryAgainAfter: nil) }
        let seconds = response.header("retry-after").flatMap { Int($0) } ?? 1
        return .refused(problem, tryAgainAfter: .seconds(min(max(seconds, 1), 10)))
    }

    private static func answer(from response: HTTPResponse) throws -> Answer {
        struct Body: Decodable {
            struct Result: Decodable { var output: String? }
            var workflowId: String
            var status: String
            var result: Result?
            var error: String?
        }
        guard let body = try? JSONDecoder().decode(Body.self, from: Data(response.body)) else {
            throw OrchestraError(
                .unavailable,
                "HTTP \(response.status) with an answer that is none of a gateway's: \(excerpt(response))",
                nextStep: "check the address given with --gateway")
        }
        return Answer(
            workflowID: body.workflowId, status: body.status, output: body.result?.output, error: body.error,
            json: String(decoding: response.body, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Reads a problem document; anything else is quoted.
    private static func problem(from response: HTTPResponse) -> OrchestraError {
        struct Problem: Decodable {
            var title: String?
            var detail: String?
        }
        let problem = try? JSONDecoder().decode(Problem.self, from: Data(response.body))
        let message = problem?.detail ?? problem?.title ?? excerpt(response)
        return OrchestraError(
            response.status >= 500 ? .unavailable : .invalidArgument,
            "the gateway refused (HTTP \(response.status)): \(message)")
    }

    private static func excerpt(_ response: HTTPResponse) -> String {
        String(decoding: response.body.prefix(200), as: UTF8.self)
    }
}
