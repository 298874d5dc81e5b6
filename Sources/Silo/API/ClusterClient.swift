public import OrchestraCore

/// Calls grains. Whoever holds one need not know where grains live.
///
/// ```swift
/// let reply = try await cluster.grain(WorkflowGrain.self, key: id).ask(GetStatus())
/// ```
public struct ClusterClient: Sendable {
    private let handler: any GrainCallHandler

    /// - Parameter handler: what carries the calls: a silo in the same process, or a connection to the cluster.
    public init(handler: any GrainCallHandler) {
        self.handler = handler
    }

    /// Addresses a grain. It need not exist.
    ///
    /// - Parameter key: 1 to 512 bytes of UTF-8 without NUL.
    /// - Throws: ``OrchestraError`` with `invalidArgument` for any other key.
    public func grain<G: Grain>(_: G.Type, key: String) throws(OrchestraError) -> GrainReference<G> {
        GrainReference(id: try GrainID(type: G.type, key: key), handler: handler)
    }
}

/// A grain's address, to send commands and queries to.
public struct GrainReference<G: Grain>: Sendable {
    /// The grain's identity.
    public let id: GrainID
    private let handler: any GrainCallHandler

    init(id: GrainID, handler: any GrainCallHandler) {
        self.id = id
        self.handler = handler
    }

    /// Sends a command and waits for its commit.
    ///
    /// - Parameters:
    ///   - command: what to do.
    ///   - deadline: how long to wait. Default: 10 s.
    ///   - requestID: repeating a command with the same id gets the recorded reply instead of a second effect. Choose
    ///     your own (1 to 128 bytes) to be able to repeat it from another process. Default: a random one.
    /// - Returns: the grain's reply.
    /// - Throws: ``OrchestraError``; after `outcomeUnknown`, repeat with the same request id to find out.
    public func send<C: GrainCommand>(
        _ command: C, deadline: Duration = .seconds(10), requestID: String? = nil
    ) async throws(OrchestraError) -> C.Reply {
        let reply = try await handler.handle(
            GrainCallRequest(
                requestID: requestID ?? newRequestID(), grain: id, kind: .command, method: C.name,
                payload: try MessageCoding.encode(command), timeLeft: deadline))
        return try MessageCoding.decode(C.Reply.self, from: reply.payload)
    }

    /// Asks a query and gets the answer from the committed state.
    ///
    /// - Parameters:
    ///   - query: what to ask.
    ///   - deadline: how long to wait. Default: 10 s.
    ///   - newerThan: wait until the grain's version is greater: a long poll. 0 waits for the grain to appear.
    ///   - after: wait until the owner has taken in the records of this topic below this offset.
    /// - Returns: the answer and the version of the state that it was computed from.
    /// - Throws: ``OrchestraError``; `notFound` when the grain has no state, `deadlineExceeded` when a long poll saw no
    ///   newer version.
    public func ask<Q: GrainQuery>(
        _ query: Q, deadline: Duration = .seconds(10), newerThan: UInt64? = nil,
        after: GrainCallRequest.Position? = nil
    ) async throws(OrchestraError) -> (value: Q.Reply, version: UInt64) {
        let reply = try await handler.handle(
            GrainCallRequest(
                requestID: newRequestID(), grain: id, kind: .query, method: Q.name,
                payload: try MessageCoding.encode(query), timeLeft: deadline, newerThan: newerThan, after: after))
        return (try MessageCoding.decode(Q.Reply.self, from: reply.payload), reply.version)
    }

    /// 128 random bits.
    private func newRequestID() -> String {
        Hexadecimal.text(of: .random(in: .min ... .max)) + Hexadecimal.text(of: .random(in: .min ... .max))
    }
}
