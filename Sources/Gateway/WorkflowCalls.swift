import OrchestraCore
import Silo

/// What a gateway asks the owner of a workflow.
struct WorkflowCalls: Sendable {
    private let cluster: ClusterClient

    init(handler: any GrainCallHandler) {
        cluster = ClusterClient(handler: handler)
    }

    /// - Parameter after: answer only once this record has been taken in.
    /// - Throws: ``OrchestraError``: `notFound`; `unavailable`, `deadlineExceeded` and others when nobody can say.
    func status(
        of workflowID: String, within timeLeft: Duration, after: GrainCallRequest.Position? = nil
    ) async throws(OrchestraError) -> WorkflowSnapshot {
        try await ask(GetStatus(), of: workflowID, within: timeLeft, after)
    }

    /// What the API shows of a workflow.
    ///
    /// - Parameters:
    ///   - untilFinished: answer only once the workflow has ended.
    ///   - after: answer only once this record has been taken in.
    /// - Throws: as ``status(of:within:after:)``.
    func document(
        of workflowID: String, within timeLeft: Duration, untilFinished: Bool = false,
        after: GrainCallRequest.Position?
    ) async throws(OrchestraError) -> JSONDocument {
        try await ask(GetDocument(untilFinished: untilFinished), of: workflowID, within: timeLeft, after)
    }

    private func ask<Q: GrainQuery>(
        _ query: Q, of workflowID: String, within timeLeft: Duration, _ after: GrainCallRequest.Position?
    ) async throws(OrchestraError) -> Q.Reply {
        let workflow = try cluster.grain(WorkflowGrain.self, key: workflowID)
        do throws(OrchestraError) {
            return try await workflow.ask(query, deadline: timeLeft, after: after).value
        } catch {
            throw error.asOurs
        }
    }

    /// Cancels, and asks again under the same request id while the outcome is open.
    func cancel(_ workflowID: String, within timeLeft: Duration) async throws(OrchestraError) -> WorkflowSnapshot {
        let workflow = try cluster.grain(WorkflowGrain.self, key: workflowID)
        let command = Cancel(reason: "cancelled through the API")
        let requestID = "gateway-\(UInt64.random(in: 0 ... .max))-\(UInt64.random(in: 0 ... .max))"
        let end = ContinuousClock.now + timeLeft
        var deadline = timeLeft
        while true {
            do throws(OrchestraError) {
                return try await workflow.send(command, deadline: deadline, requestID: requestID)
            } catch {
                let isOpen = [.outcomeUnknown, .unavailable, .notOwner].contains(error.code)
                let pause = Duration.milliseconds(Int.random(in: 50...150))
                deadline = end - (.now + pause)
                guard isOpen, deadline > .zero, (try? await Task.sleep(for: pause)) != nil else { throw error.asOurs }
            }
        }
    }
}

extension OrchestraError {
    /// The id was checked before the call, so what is invalid is what the two nodes told each other.
    fileprivate var asOurs: OrchestraError {
        guard code == .invalidArgument else { return self }
        return OrchestraError(.internalError, message, nextStep: nextStep, cause: cause)
    }
}
