import Foundation
import HTTPClient

/// What the gateway says of a workflow.
struct WorkflowAnswer: Decodable, Sendable {
    var workflowId: String
    var status: String
    var result: Result?
    var error: String?

    struct Result: Decodable, Sendable {
        var output: String
    }
}

/// A problem document (RFC 9457) as the gateway sends it.
struct Problem: Decodable, Sendable {
    var type: String
    var title: String
    var status: Int
    var detail: String
}

extension Cluster {
    /// Posts a workflow.
    func trigger(
        _ input: String, workflow: String = "summarize", idempotencyKey: String? = nil, timeout: Duration = .seconds(15)
    ) async throws -> HTTPResponse {
        let body = try JSONEncoder().encode(["workflow": workflow, "input": input])
        return try await post(Array(body), idempotencyKey: idempotencyKey, timeout: timeout)
    }

    /// Posts any bytes to the trigger endpoint.
    func post(
        _ body: [UInt8], contentType: String = "application/json", idempotencyKey: String? = nil,
        timeout: Duration = .seconds(15)
    ) async throws -> HTTPResponse {
        var headers = [(name: "content-type", value: contentType)]
        if let idempotencyKey { headers.append((name: "idempotency-key", value: idempotencyKey)) }
        return try await http.send(
            HTTPRequest(
                method: "POST", url: "\(gateway)/v1/workflows", headers: headers, body: body, timeout: timeout))
    }

    func get(_ path: String, timeout: Duration = .seconds(70)) async throws -> HTTPResponse {
        try await http.send(HTTPRequest(url: gateway + path, timeout: timeout))
    }

    /// Posts a workflow that must be accepted.
    func accepted(_ input: String, idempotencyKey: String? = nil) async throws -> String {
        let response = try await trigger(input, idempotencyKey: idempotencyKey)
        guard response.head.status == 202 else {
            throw TestFailure("a trigger was answered \(response.head.status): \(response.text)")
        }
        return try response.decoded(WorkflowAnswer.self).workflowId
    }

    /// Waits until a workflow has ended, asking again while the gateway or the silo is away.
    func outcome(of workflowID: String, within limit: Duration = .seconds(60)) async throws -> WorkflowAnswer {
        var answer: WorkflowAnswer?
        try await eventually("end of workflow \(workflowID)", within: limit) {
            guard let response = try? await get("/v1/workflows/\(workflowID)?wait=10s") else { return "no answer" }
            guard response.head.status == 200 else { return "\(response.head.status): \(response.text)" }
            let seen = try response.decoded(WorkflowAnswer.self)
            answer = seen
            return ["completed", "failed", "cancelled"].contains(seen.status) ? nil : seen.status
        }
        guard let answer else { throw TestFailure("workflow \(workflowID) has no outcome") }
        return answer
    }

    /// Reads all topics with an independent client and returns what it counted; see `ledger.py`.
    func ledger(accepted: [String]) async throws -> LedgerReport {
        let list = folder.appending(path: "accepted.txt")
        try accepted.joined(separator: "\n").write(to: list, atomically: true, encoding: .utf8)
        let reader = try ChildProcess(
            Files.python,
            [
                "-W", "ignore", Files.ledger.path, "--kafka", description.kafka, "--registry", description.registry,
                "--workflows", list.path,
            ], folder: folder)
        let result = try await reader.result(within: .seconds(120))
        guard result.status <= 1 else { throw TestFailure("the ledger could not read: \(result.errors)") }
        return try JSONDecoder().decode(LedgerReport.self, from: Data(result.output.utf8))
    }
}

/// What `ledger.py` prints.
struct LedgerReport: Decodable, Sendable {
    struct DeadLetter: Decodable, Sendable {
        var topic: String
        var code: String
        var reason: String
    }

    var records: [String: Int]
    var accepted: Int
    var workflowsStarted: Int
    var statuses: [String: Int]
    var deadLetters: [DeadLetter]
    var violationCount: Int
    var violations: [String]
}

extension HTTPResponse {
    var text: String { String(decoding: body, as: UTF8.self) }

    func decoded<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw TestFailure("not a \(type): \(text.prefix(500)) (\(error))")
        }
    }
}
