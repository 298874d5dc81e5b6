package import OrchestraCore

/// A command that waits for its turn, its commit and its answer. Whoever answers first wins: the partition's loop, or
/// the caller's deadline.
package final class PendingCall: Sendable {
    package let request: GrainCallRequest
    /// When the caller stops waiting.
    package let deadline: ContinuousClock.Instant
    private let answer = OneShot<Result<GrainCallReply, OrchestraError>>()

    package init(_ request: GrainCallRequest, deadline: ContinuousClock.Instant) {
        self.request = request
        self.deadline = deadline
    }

    /// About the memory that the call takes, in bytes.
    package var size: Int { request.payload.count + request.requestID.utf8.count + request.grain.key.utf8.count + 256 }

    package var isAnswered: Bool { answer.isResolved }

    package func succeed(_ reply: GrainCallReply) { answer.resolve(.success(reply)) }

    package func fail(_ error: OrchestraError) { answer.resolve(.failure(error)) }

    /// Waits for the answer. Cancelling the waiting task answers the call; its turn may still run.
    package func value() async throws(OrchestraError) -> GrainCallReply {
        let gone = OrchestraError(.outcomeUnknown, "the caller of \(request.method) went away")
        return try await answer.value(ifCancelled: .failure(gone)).get()
    }
}

/// A query that waits for something to change before it is looked at again.
package final class QueryWait: Sendable {
    package let grain: GrainID
    /// When the caller stops waiting.
    package let deadline: ContinuousClock.Instant
    private let outcome = OneShot<Result<Void, OrchestraError>>()

    package init(grain: GrainID, deadline: ContinuousClock.Instant) {
        self.grain = grain
        self.deadline = deadline
    }

    package var isOver: Bool { outcome.isResolved }

    /// What the query waited for may have happened.
    package func wake() { outcome.resolve(.success(())) }

    package func fail(_ error: OrchestraError) { outcome.resolve(.failure(error)) }

    /// Waits until the query should be looked at again.
    package func value() async throws(OrchestraError) {
        let gone = OrchestraError(.unavailable, "the caller of a query of \(grain) went away")
        try await outcome.value(ifCancelled: .failure(gone)).get()
    }
}
