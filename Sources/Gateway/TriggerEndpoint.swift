import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import OrchestraCore
import Records
import Silo

/// `POST /v1/workflows`: checks the request, writes a start event, and answers 202 once the broker has it.
///
/// With an `Idempotency-Key` the workflow's id follows from the key, so every repetition, at whichever gateway, is the
/// same workflow: the first record of an id counts, the grain ignores the others. Before and after writing, the owner is
/// asked whose input the workflow has, so that another body under the same key is told 422, also when both came at
/// once. An owner that cannot be reached does not stop a trigger: its record is durable.
struct TriggerEndpoint: Sendable {
    let nodeID: String
    let limits: GatewayLimits
    let workflows: [String]
    let sink: any StartEventSink
    let calls: WorkflowCalls
    let ids: WorkflowIDSource
    let accepted: RecentlyAccepted
    let admission: Admission
    let now: @Sendable () -> Timestamp

    func respond(to request: Request) async throws -> Response {
        guard admission.enter() else { throw busy("\(limits.maximumTriggers) triggers are in progress") }
        var bodySize = 0
        defer { admission.leave(bytes: bodySize) }
        try checkContentType(request.headers)
        let key = try idempotencyKey(request.headers)
        let body = try await collect(request, reserved: &bodySize)
        let trigger = try read(body)
        let now = now()
        var random = SystemRandomNumberGenerator()
        let trace = request.headers[.traceParent].flatMap(TraceParent.init) ?? TraceParent(using: &random)
        let event = WorkflowStartEvent(
            workflowId: key.map(WorkflowIdentity.id(forKey:)) ?? ids.next(now: now, using: &random),
            workflow: trigger.workflow, input: trigger.input, inputDigest: WorkflowIdentity.digest(of: trigger),
            acceptedAt: now, gateway: nodeID, traceParent: trace.child(using: &random).header)
        let earlier = key == nil ? Earlier.none : try await earlier(event)
        if earlier == .sameBody { return accept(event.workflowId, isReplay: true) }
        let position = try await append(event)
        if key != nil, earlier != .ownerOutOfReach { try await checkThatItCounted(event, position) }
        accepted.remember(event.workflowId, at: position)
        return accept(event.workflowId, isReplay: false)
    }

    private func accept(_ workflowID: String, isReplay: Bool) -> Response {
        var response = Response.json(
            .accepted, .object([("workflowId", .string(workflowID)), ("status", .string("accepted"))]))
        response.headers[.location] = "/v1/workflows/\(workflowID)"
        if isReplay { response.headers[.idempotencyReplayed] = "true" }
        return response
    }

    // MARK: Reading the request

    private func checkContentType(_ headers: HTTPFields) throws(Problem) {
        let type = headers[.contentType] ?? ""
        let parts = type.split(separator: ";").map { $0.trimmingSpaces.lowercased() }
        let charsets = parts.dropFirst().filter { $0.hasPrefix("charset=") }
        guard parts.first == "application/json",
            charsets.allSatisfy({ ["charset=utf-8", "charset=\"utf-8\""].contains($0) })
        else {
            throw Problem(
                .unsupportedMediaType, "unsupportedMediaType",
                type.isEmpty ? "the request has no Content-Type" : "the request has Content-Type \"\(type)\"",
                nextStep: "send JSON in UTF-8 with Content-Type: application/json")
        }
    }

    private func idempotencyKey(_ headers: HTTPFields) throws(Problem) -> String? {
        let keys = headers[values: .idempotencyKey]
        guard let key = keys.first else { return nil }
        guard keys.count == 1 else {
            throw Problem(
                .badRequest, "invalidArgument", "there are \(keys.count) Idempotency-Key headers",
                nextStep: "send one")
        }
        try WorkflowIdentity.check(key: key)
        return key
    }

    private func collect(_ request: Request, reserved: inout Int) async throws -> ByteBuffer {
        let declared = request.headers[.contentLength].flatMap { Int($0) }
        if let declared, declared > limits.maximumBodySize { throw bodyTooLarge(declared) }
        if let declared { try reserve(declared, &reserved) }
        let end = ContinuousClock.now + limits.bodyTimeout
        var body = ByteBuffer()
        for try await chunk in request.body {
            var chunk = chunk
            guard body.readableBytes + chunk.readableBytes <= limits.maximumBodySize else {
                throw bodyTooLarge(body.readableBytes + chunk.readableBytes)
            }
            try reserve(body.readableBytes + chunk.readableBytes - reserved, &reserved)
            if body.readableBytes == 0 { body = chunk } else { body.writeBuffer(&chunk) }
            guard ContinuousClock.now < end else {
                var problem = Problem(
                    .requestTimeout, "deadlineExceeded", "the body did not arrive within \(limits.bodyTimeout)",
                    nextStep: "send it faster")
                problem.closesConnection = true
                throw problem
            }
        }
        return body
    }

    private func reserve(_ bytes: Int, _ reserved: inout Int) throws(Problem) {
        guard bytes > 0 else { return }
        guard admission.grow(bytes) else {
            throw busy("the bodies of triggers in progress take \(limits.maximumTriggerBytes) bytes")
        }
        reserved += bytes
    }

    private func bodyTooLarge(_ size: Int) -> Problem {
        var problem = Problem(
            .contentTooLarge, "tooLarge",
            "the body has \(size) bytes or more; the limit is \(limits.maximumBodySize) bytes",
            nextStep: "send an input of at most \(limits.maximumInputSize) bytes of UTF-8")
        problem.closesConnection = true
        return problem
    }

    private func busy(_ reason: String) -> Problem {
        Problem(.serviceUnavailable, "overloaded", reason, nextStep: "try again after a second", retryAfter: 1)
    }

    private func read(_ body: ByteBuffer) throws(Problem) -> TriggerRequest {
        let trigger: TriggerRequest
        do throws(JSONProblem) {
            trigger = try TriggerRequest(json: body.readableBytesView)
        } catch {
            var problem = Problem(
                .badRequest, "invalidArgument", error.description,
                nextStep: "send {\"workflow\": \"\(workflows.first ?? "name")\", \"input\": \"the text\"}")
            if let place = error.place {
                problem.members = [
                    ("line", .integer(place.line)), ("column", .integer(place.column)), ("byte", .integer(place.byte)),
                ]
            }
            throw problem
        }
        let size = trigger.input.utf8.count
        guard size <= limits.maximumInputSize else {
            throw Problem(
                .contentTooLarge, "tooLarge",
                "the input has \(size) bytes of UTF-8; the limit is \(limits.maximumInputSize) bytes",
                nextStep: "send a shorter text")
        }
        guard workflows.contains(trigger.workflow) else {
            var problem = Problem(
                .unprocessableContent, "notFound", "no workflow is named \"\(trigger.workflow.prefix(100))\"",
                nextStep: "the workflows here are: \(workflows.joined(separator: ", "))")
            problem.members = [("workflows", .array(workflows.map(JSONOutput.string)))]
            throw problem
        }
        return trigger
    }

    // MARK: Writing, and keys

    private func append(_ event: WorkflowStartEvent) async throws -> GrainCallRequest.Position {
        do throws(OrchestraError) {
            return try await sink.append(event)
        } catch {
            var problem = Problem(error)
            if error.code == .outcomeUnknown { problem.members = [("workflowId", .string(event.workflowId))] }
            throw problem
        }
    }

    /// What there is under a key before its event is written.
    private enum Earlier {
        case none, sameBody, ownerOutOfReach
    }

    /// - Throws: ``Problem`` 422 when the key's workflow has another body.
    private func earlier(_ event: WorkflowStartEvent) async throws -> Earlier {
        let digest: String
        do throws(OrchestraError) {
            digest = try await calls.status(of: event.workflowId, within: limits.keyCheckTimeout).inputDigest
        } catch {
            return error.code == .notFound ? .none : .ownerOutOfReach
        }
        try compare(digest, event)
        return .sameBody
    }

    /// Of two bodies under one key the first record counts: the other's sender must know.
    private func checkThatItCounted(
        _ event: WorkflowStartEvent, _ position: GrainCallRequest.Position
    ) async throws {
        do {
            let status = try await calls.status(
                of: event.workflowId, within: limits.keyCheckTimeout, after: position)
            try compare(status.inputDigest, event)
        } catch let error as OrchestraError where error.code == .notFound {
            throw Problem(
                .conflict, "conflict", "the workflow of this Idempotency-Key has ended long ago and was forgotten",
                nextStep: "use a new key for a new workflow")
        } catch is OrchestraError {
            // The owner cannot be reached in time; the record is durable, so the trigger is accepted all the same.
        }
    }

    private func compare(_ digest: String, _ event: WorkflowStartEvent) throws(Problem) {
        guard digest == event.inputDigest else {
            throw Problem(
                .unprocessableContent, "conflict", "this Idempotency-Key was used with another body",
                nextStep: "repeat the first request unchanged, or use a new key for a new workflow")
        }
    }
}

extension HTTPField.Name {
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotencyReplayed = HTTPField.Name("Idempotency-Replayed")!
    static let traceParent = HTTPField.Name("traceparent")!
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var text = self
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
