import HTTPTypes
import Hummingbird
import OrchestraCore
import ServiceLifecycle
import Silo

/// `GET /v1/workflows/{id}` with `wait`, and cancelling.
struct StatusEndpoint: Sendable {
    let limits: GatewayLimits
    let calls: WorkflowCalls
    let accepted: RecentlyAccepted
    let waits: Admission

    /// Answers where the workflow stands; with `wait`, once it has ended or the time has passed.
    ///
    /// While it waits, it asks the owner for anything newer than what it has seen, again every few seconds and when a
    /// connection breaks, so neither a lost answer nor a new owner leaves it hanging.
    func status(of workflowID: String, wait: Duration?) async throws -> Response {
        guard let wait, wait > .zero, waits.enter() else { return try await poll(workflowID, wait: nil) }
        defer { waits.leave(bytes: 0) }
        return try await poll(workflowID, wait: wait)
    }

    private func poll(_ workflowID: String, wait: Duration?) async throws -> Response {
        let end = ContinuousClock.now + (wait ?? .zero)
        let position = accepted.position(of: workflowID)
        var last: WorkflowCalls.Status?
        var failure: OrchestraError?
        repeat {
            let timeLeft = timeLeft(until: end, isFirst: last == nil, isWaiting: wait != nil)
            do throws(OrchestraError) {
                let newer = last?.version
                let status = try await untilShutdown { () async throws(OrchestraError) in
                    try await calls.status(
                        of: workflowID, within: timeLeft, newerThan: newer, after: newer == nil ? position : nil)
                }
                if status.snapshot.isFinished { return .json(.ok, status.json) }
                (last, failure) = (status, nil)
            } catch {
                if error.code == .notFound, position == nil { throw Problem(unknown(workflowID)) }
                failure = error
                // A long poll that ran out is no failure, and asks again at once; anything else pauses.
                if error.code != .deadlineExceeded || last == nil {
                    let pause = min(.milliseconds(Int.random(in: 50...250)), end - .now)
                    if pause > .zero,
                        (try? await cancelWhenGracefulShutdown({ try await Task.sleep(for: pause) })) == nil
                    {
                        break
                    }
                }
            }
        } while ContinuousClock.now < end && !Task.isShuttingDownGracefully && !Task.isCancelled
        if let last { return .json(.ok, last.json) }
        if position != nil {
            return .json(.ok, .object([("workflowId", .string(workflowID)), ("status", .string("accepted"))]))
        }
        throw Problem(outOfReach(failure))
    }

    /// The first answer of a long poll may come a little late; a question without `wait` has its own limit.
    private func timeLeft(until end: ContinuousClock.Instant, isFirst: Bool, isWaiting: Bool) -> Duration {
        let left = end - .now
        guard isFirst else { return min(limits.longPollInterval, left) }
        return isWaiting ? min(limits.callTimeout, max(left, .milliseconds(500))) : limits.callTimeout
    }

    /// Stops a running workflow; a finished one stays as it is, so cancelling twice is the same as once.
    func cancel(_ workflowID: String) async throws -> Response {
        do throws(OrchestraError) {
            // The question makes the owner take in a trigger that was accepted a moment ago.
            let status = try await calls.status(
                of: workflowID, within: limits.callTimeout, after: accepted.position(of: workflowID))
            if status.snapshot.isFinished { return .json(.ok, status.snapshot.json) }
            let snapshot = try await calls.cancel(workflowID, within: limits.callTimeout * 2)
            return .json(.ok, snapshot.json)
        } catch {
            if error.code == .notFound { throw Problem(unknown(workflowID)) }
            throw Problem(error.code == .deadlineExceeded ? outOfReach(error) : error)
        }
    }

    /// Long polls end with the gateway's shutdown and answer what they know.
    private func untilShutdown(
        _ ask: @Sendable @escaping () async throws(OrchestraError) -> WorkflowCalls.Status
    ) async throws(OrchestraError) -> WorkflowCalls.Status {
        do {
            return try await cancelWhenGracefulShutdown { try await ask() }
        } catch let error as OrchestraError {
            throw error
        } catch {
            throw OrchestraError(.unavailable, "this gateway is shutting down", cause: error)
        }
    }

    private func unknown(_ workflowID: String) -> OrchestraError {
        OrchestraError(
            .notFound, "there is no workflow \"\(workflowID)\"",
            nextStep: "check the id; finished workflows are kept for a limited time")
    }

    private func outOfReach(_ error: OrchestraError?) -> OrchestraError {
        OrchestraError(
            .unavailable, error?.message ?? "the owner of this workflow cannot be reached",
            nextStep: "ask again after a moment")
    }
}

extension WorkflowCalls.Status {
    var json: JSONValue { snapshot.json }
}

extension WorkflowSnapshot {
    /// What the API shows of a workflow.
    var json: JSONValue {
        var result: JSONValue = .null
        if status == .completed {
            result = .object([
                ("output", .string(output ?? "")),
                ("functions", .array(functions.map(\.json))),
                ("model", .string(model)),
            ])
        }
        return .object([
            ("workflowId", .string(workflowId)),
            ("workflow", .string(workflow)),
            ("status", .string(status.rawValue)),
            ("result", result),
            ("error", .string(error)),
            (
                "times",
                .object([
                    ("acceptedAt", .time(acceptedAt)), ("startedAt", .time(startedAt)),
                    ("finishedAt", .time(finishedAt)),
                ])
            ),
        ])
    }
}

extension WorkflowSnapshot.Function {
    fileprivate var json: JSONValue {
        .object([
            ("step", .integer(step)), ("plugin", .string(plugin)), ("function", .string(function)),
            ("output", .string(output)),
        ])
    }
}
