import NIOCore
import OrchestraCore

/// A call of this node that waits for its answer.
///
/// `@unchecked Sendable`: `continuation` is set before the call is handed over under the hub's lock; everything else
/// that changes is touched on the node's event loop only.
final class PendingCall: @unchecked Sendable {
    let request: GrainCallRequest
    let deadline: NIODeadline
    let link: CallLink
    var continuation: CheckedContinuation<Result<GrainCallReply, OrchestraError>, Never>?
    /// Its place in the hub's table while it waits.
    var id: UInt64?
    /// Where its request has been written: from then on a command may have had its effect.
    var session: CallSession? {
        didSet { if session != nil { isSent = true } }
    }
    private(set) var isSent = false
    /// Whether its caller gave up.
    var isCancelled = false

    init(request: GrainCallRequest, deadline: NIODeadline, link: CallLink) {
        self.request = request
        self.deadline = deadline
        self.link = link
    }

    /// The error for a call that ends without an answer: what is known of it depends on whether it was sent.
    func failure(_ code: OrchestraError.Code, _ reason: String) -> OrchestraError {
        guard isSent, request.kind == .command else {
            return OrchestraError(
                code, "\(request.method) of \(request.grain): \(reason)", nextStep: "ask again after a moment")
        }
        return OrchestraError(
            .outcomeUnknown, "\(request.method) of \(request.grain) was sent, then: \(reason)",
            nextStep: "repeat it with the same request id to find out")
    }
}
