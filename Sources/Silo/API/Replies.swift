import Avro
public import OrchestraCore

/// What came of a command that a turn told another grain; see ``Turn/tell(_:to:key:replyTo:)``.
public struct TellReply<C: GrainCommand>: Sendable {
    /// What `tell` returned. A grain that has completed and begun anew since may get a reply that its former life has
    /// asked for: compare.
    public let requestID: String
    /// The grain that was told.
    public let from: GrainID
    /// Its reply; or why the command had no effect, as its code and its words (the error that its handler threw the
    /// last time it was tried).
    public let result: Result<C.Reply, OrchestraError>
}

/// An `OnReply` declaration: takes the replies of commands that were told with its name as `replyTo`.
///
/// ```swift
/// Command(PlaceOrder.self) { order, place, turn in
///     try turn.tell(Reserve(amount: place.amount), to: Stock.type, key: place.article, replyTo: "reserved")
///     return NoReply()
/// }
/// OnReply("reserved", to: Reserve.self) { order, reply, turn in
///     switch reply.result {
///     case .success: order.status = .reserved
///     case .failure(let error): order.status = .refused(error.message)
///     }
/// }
/// ```
/// Each told command is answered once, by a reply or a failure. A reply that comes after its grain has completed goes to
/// the dead letters as `notFound`. A handler that throws is tried again like that of an event.
public struct ReplyHandler<G: Grain, C: GrainCommand>: Sendable {
    package var entry: HandlerEntry<G>

    /// - Parameters:
    ///   - name: what ``Turn/tell(_:to:key:replyTo:)`` says; stable, for replies may be under way while silos restart.
    ///   - command: the command whose replies it takes.
    ///   - body: what the turn does; it must not block its thread and has 2 s, retries included.
    public init(
        _ name: String, to command: C.Type,
        _ body: @escaping @Sendable (inout G, TellReply<C>, inout Turn) throws -> Void
    ) {
        entry = HandlerEntry(
            content: .reply(
                name: name, command: C.name,
                .immediate { grain, payload, turn in
                    try body(&grain, tellReply(payload), &turn)
                    return nil
                }))
    }

    /// The same for a handler that suspends.
    public init(
        _ name: String, to command: C.Type,
        _ body: @escaping @Sendable (inout G, TellReply<C>, inout Turn) async throws -> Void
    ) {
        entry = HandlerEntry(
            content: .reply(
                name: name, command: C.name,
                .suspending { grain, payload, turn in
                    try await body(&grain, tellReply(payload), &turn)
                    return nil
                }))
    }
}

private func tellReply<C: GrainCommand>(_ payload: TurnPayload) throws(OrchestraError) -> TellReply<C> {
    guard case .reply(let answer) = payload else {
        throw OrchestraError(.internalError, "a handler of replies to \(C.name) was given \(payload)")
    }
    let result: Result<C.Reply, OrchestraError>
    switch answer.outcome {
    case .success(let bytes): result = .success(try MessageCoding.decode(C.Reply.self, from: bytes))
    case .failure(let error): result = .failure(error)
    }
    return TellReply(requestID: answer.requestID, from: answer.from, result: result)
}
