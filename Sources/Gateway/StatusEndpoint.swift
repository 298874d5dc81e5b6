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
    /// While it waits, it asks the owner for the end, again every few seconds and when a connection breaks, so neither a
    /// lost answer nor a new owner leaves it hanging.
    func status(of workflowID: String, wait: Duration?) async throws -> Response {
        let position = accepted.position(of: workflowID)
        if let wait, wait > .zero, waits.enter() {
            defer { waits.leave(bytes: 0) }
            if let end = try await waitForEnd(of: workflowID, position, for: wait) {
                return .json(.ok, text: end.bytes)
            }
        }
        do throws(OrchestraError) {
            let document = try await untilShutdown { () async throws(OrchestraError) in
                try await calls.document(of: workflowID, within: limits.callTimeout, after: position)
            }
            return .json(.ok, text: document.bytes)
        } catch {
            guard position == nil else {
                return .json(.ok, .object([("workflowId", .string(workflowID)), ("status", .string("accepted"))]))
            }
            throw Problem(error.code == .notFound ? unknown(workflowID) : outOfReach(error))
        }
    }

    /// - Returns: `nil` if the workflow has not ended in time, or nobody could say.
    private func waitForEnd(
        of workflowID: String, _ position: GrainCallRequest.Position?, for wait: Duration
    ) async throws -> JSONDocument? {
        let end = ContinuousClock.now + wait
        while ContinuousClock.now < end, !Task.isShuttingDownGracefully, !Task.isCancelled {
            let timeLeft = min(limits.longPollInterval, end - .now)
            do throws(OrchestraError) {
                return try await untilShutdown { () async throws(OrchestraError) in
                    try await calls.document(of: workflowID, within: timeLeft, untilFinished: true, after: position)
                }
            } catch {
                if error.code == .notFound, position == nil { throw Problem(unknown(workflowID)) }
                // It is still running, or the answer was lost.
                if error.code == .deadlineExceeded { continue }
                let pause = min(.milliseconds(Int.random(in: 50...250)), end - .now)
                guard pause > .zero,
                    (try? await cancelWhenGracefulShutdown({ try await Task.sleep(for: pause) })) != nil
                else { return nil }
            }
        }
        return nil
    }

    /// Stops a running workflow; a finished one stays as it is, so cancelling twice is the same as once.
    func cancel(_ workflowID: String) async throws -> Response {
        do throws(OrchestraError) {
            // The question makes the owner take in a trigger that was accepted a moment ago.
            let status = try await calls.status(
                of: workflowID, within: limits.callTimeout, after: accepted.position(of: workflowID))
            if status.isFinished { return .json(.ok, status.json) }
            let snapshot = try await calls.cancel(workflowID, within: limits.callTimeout * 2)
            return .json(.ok, snapshot.json)
        } catch {
            if error.code == .notFound { throw Problem(unknown(workflowID)) }
            throw Problem(error.code == .deadlineExceeded ? outOfReach(error) : error)
        }
    }

    /// Long polls end with the gateway's shutdown and answer what they know.
    private func untilShutdown(
        _ ask: @Sendable @escaping () async throws(OrchestraError) -> JSONDocument
    ) async throws(OrchestraError) -> JSONDocument {
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

    private func outOfReach(_ error: OrchestraError) -> OrchestraError {
        OrchestraError(.unavailable, error.message, nextStep: "ask again after a moment")
    }
}
