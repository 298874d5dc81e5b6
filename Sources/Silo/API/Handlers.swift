public import Avro
public import OrchestraCore
import Records

/// The table of what a grain reacts to; see ``Grain/handlers``.
public struct Handlers<G: Grain>: Sendable {
    package var entries: [HandlerEntry<G>]

    /// - Parameter entries: `On`, `Command`, `Query`, `Timer`, `OnReply` and `Publishes` declarations. Two for the same
    ///   name stop the silo at its start with a clear error.
    public init(@HandlersBuilder<G> _ entries: () -> [HandlerEntry<G>]) {
        self.entries = entries()
    }
}

/// Collects the declarations of ``Handlers``.
@resultBuilder
public enum HandlersBuilder<G: Grain> {
    public static func buildExpression<Event>(_ handler: EventHandler<G, Event>) -> HandlerEntry<G> { handler.entry }
    public static func buildExpression<C>(_ handler: CommandHandler<G, C>) -> HandlerEntry<G> { handler.entry }
    public static func buildExpression<Q>(_ handler: QueryHandler<G, Q>) -> HandlerEntry<G> { handler.entry }
    public static func buildExpression(_ handler: TimerHandler<G>) -> HandlerEntry<G> { handler.entry }
    public static func buildExpression<C>(_ handler: ReplyHandler<G, C>) -> HandlerEntry<G> { handler.entry }
    public static func buildExpression<Event>(_ stream: PublishedStream<G, Event>) -> HandlerEntry<G> { stream.entry }
    public static func buildBlock(_ entries: HandlerEntry<G>...) -> [HandlerEntry<G>] { entries }
}

/// One line of a grain's table, its types erased.
public struct HandlerEntry<G: Grain>: Sendable {
    package var content: Content

    package enum Content: Sendable {
        case event(stream: StreamDescription, Body)
        case command(name: String, Body)
        case query(name: String, @Sendable (G, [UInt8], QueryContext) throws -> [UInt8])
        case timer(name: String, Body)
        case reply(name: String, command: String, Body)
        case publishes(StreamDescription)
        case volatileCommand(name: String, VolatileBody)
    }

    /// What runs for a command of a volatile grain.
    package enum VolatileBody: Sendable {
        case immediate(@Sendable (inout G, [UInt8], inout VolatileTurn) throws -> [UInt8])
        case suspending(@Sendable (inout G, [UInt8], inout VolatileTurn) async throws -> [UInt8])
    }

    /// What runs in a turn. A handler that does not suspend runs without a task of its own.
    package enum Body: Sendable {
        case immediate(@Sendable (inout G, TurnPayload, inout Turn) throws -> [UInt8]?)
        case suspending(@Sendable (inout G, TurnPayload, inout Turn) async throws -> [UInt8]?)
    }
}

/// What a turn is given: a decoded event, an encoded command, what came of a told one, or nothing for a timer.
package enum TurnPayload: Sendable {
    case event(any StreamRecord)
    case command([UInt8])
    case reply(ToldAnswer)
    case timer
}

/// An `On` declaration: reacts to the records of a stream whose key is the grain's key.
///
/// A handler that throws is tried again (three times in all, with a growing pause); then the record goes to
/// `orchestra.dead-letters`, in the same transaction, and the partition goes on.
public struct EventHandler<G: Grain, Event: StreamRecord>: Sendable {
    package var entry: HandlerEntry<G>

    /// - Parameters:
    ///   - stream: where the events come from.
    ///   - body: what the turn does; it must not block its thread and has 2 s, retries included.
    public init(
        _ stream: StreamName<Event>, _ body: @escaping @Sendable (inout G, Event, inout Turn) throws -> Void
    ) {
        entry = HandlerEntry(
            content: .event(
                stream: StreamDescription(stream),
                .immediate { grain, payload, turn in
                    try body(&grain, eventPayload(payload), &turn)
                    return nil
                }))
    }

    /// The same for a handler that suspends.
    public init(
        _ stream: StreamName<Event>, _ body: @escaping @Sendable (inout G, Event, inout Turn) async throws -> Void
    ) {
        entry = HandlerEntry(
            content: .event(
                stream: StreamDescription(stream),
                .suspending { grain, payload, turn in
                    try await body(&grain, eventPayload(payload), &turn)
                    return nil
                }))
    }
}

/// A `Command` declaration; see ``GrainCommand``.
///
/// What the body returns is the reply, given after the commit. A body that throws answers its error and changes
/// nothing: throw ``OrchestraError`` to choose the code; any other error becomes `handlerFailed`.
public struct CommandHandler<G: Grain, C: GrainCommand>: Sendable {
    package var entry: HandlerEntry<G>
}

extension CommandHandler where G.TurnContext == Turn {
    /// - Parameters:
    ///   - command: the command's type.
    ///   - body: what the turn does; it must not block its thread and has 2 s.
    public init(_ command: C.Type, _ body: @escaping @Sendable (inout G, C, inout Turn) throws -> C.Reply) {
        entry = HandlerEntry(
            content: .command(
                name: C.name,
                .immediate { grain, payload, turn in
                    try MessageCoding.encode(body(&grain, commandPayload(payload), &turn))
                }))
    }

    /// The same for a handler that suspends.
    public init(_ command: C.Type, _ body: @escaping @Sendable (inout G, C, inout Turn) async throws -> C.Reply) {
        entry = HandlerEntry(
            content: .command(
                name: C.name,
                .suspending { grain, payload, turn in
                    try MessageCoding.encode(await body(&grain, commandPayload(payload), &turn))
                }))
    }
}

extension CommandHandler where G.TurnContext == VolatileTurn {
    /// The command of a volatile grain: answered as soon as the body has ended.
    ///
    /// - Parameters:
    ///   - command: the command's type.
    ///   - body: what the turn does; it must not block its thread and has as long as the caller waits.
    public init(_ command: C.Type, _ body: @escaping @Sendable (inout G, C, inout VolatileTurn) throws -> C.Reply) {
        entry = HandlerEntry(
            content: .volatileCommand(
                name: C.name,
                .immediate { grain, payload, turn in
                    try MessageCoding.encode(body(&grain, MessageCoding.decode(C.self, from: payload), &turn))
                }))
    }

    /// The same for a handler that suspends.
    public init(
        _ command: C.Type, _ body: @escaping @Sendable (inout G, C, inout VolatileTurn) async throws -> C.Reply
    ) {
        entry = HandlerEntry(
            content: .volatileCommand(
                name: C.name,
                .suspending { grain, payload, turn in
                    let command = try MessageCoding.decode(C.self, from: payload)
                    return try MessageCoding.encode(await body(&grain, command, &turn))
                }))
    }
}

/// A `Query` declaration; see ``GrainQuery``. The body sees the committed state, cannot change it, and runs at once.
public struct QueryHandler<G: Grain, Q: GrainQuery>: Sendable {
    package var entry: HandlerEntry<G>

    /// - Parameters:
    ///   - query: the query's type.
    ///   - body: computes the answer; it must neither block nor take long, callers wait for it.
    public init(_ query: Q.Type, _ body: @escaping @Sendable (G, Q) throws -> Q.Reply) {
        self.init(query) { grain, query, _ in try body(grain, query) }
    }

    /// The same for a body that wants to know whose state it sees.
    public init(_ query: Q.Type, _ body: @escaping @Sendable (G, Q, QueryContext) throws -> Q.Reply) {
        entry = HandlerEntry(
            content: .query(name: Q.name) { grain, payload, context in
                try MessageCoding.encode(body(grain, MessageCoding.decode(Q.self, from: payload), context))
            })
    }
}

/// Whose state a query sees.
public struct QueryContext: Sendable {
    /// The grain's identity.
    public let grain: GrainID
    /// The sequence of the commit that the state is from.
    public let version: UInt64
}

/// Thrown by a query's handler: there is no answer yet. The query is put to the grain again after each commit that
/// changes it, until the caller's deadline.
public struct NotYet: Error {
    public init() {}
}

/// A `Timer` declaration: runs when a timer of this name, set by ``Turn/schedule(_:at:)``, is due. The timer is gone
/// before the body runs; the body may set it again.
public struct TimerHandler<G: Grain>: Sendable {
    package var entry: HandlerEntry<G>

    public init(_ name: String, _ body: @escaping @Sendable (inout G, inout Turn) throws -> Void) {
        entry = HandlerEntry(
            content: .timer(
                name: name,
                .immediate { grain, _, turn in
                    try body(&grain, &turn)
                    return nil
                }))
    }

    /// The same for a handler that suspends.
    public init(_ name: String, _ body: @escaping @Sendable (inout G, inout Turn) async throws -> Void) {
        entry = HandlerEntry(
            content: .timer(
                name: name,
                .suspending { grain, _, turn in
                    try await body(&grain, &turn)
                    return nil
                }))
    }
}

/// A `Publishes` declaration: the stream's topic is created and its schema registered when the silo starts.
/// Publishing to a stream that is neither declared here nor handled is an error of the turn.
public struct PublishedStream<G: Grain, Event: StreamRecord>: Sendable {
    package var entry: HandlerEntry<G>

    public init(_ stream: StreamName<Event>) {
        entry = HandlerEntry(content: .publishes(StreamDescription(stream)))
    }
}

/// A stream with its record type erased: how to register and decode it.
package struct StreamDescription: Sendable {
    package var topic: String
    package var recordName: String
    package var register: @Sendable (any RecordCoding) async throws -> Void
    package var decodeIfKnown: @Sendable ([UInt8], any RecordCoding) throws -> (any StreamRecord)?
    package var decode: @Sendable ([UInt8], any RecordCoding) async throws -> any StreamRecord

    package init<Event: StreamRecord>(_ stream: StreamName<Event>) {
        topic = stream.topic
        recordName = Event.avroName
        let subject = "\(stream.topic)-value"
        register = { codec in try await codec.register(Event.self, subject: subject) }
        decodeIfKnown = { bytes, codec in try codec.decodeIfKnown(Event.self, from: bytes) }
        decode = { bytes, codec in try await codec.decode(Event.self, from: bytes) }
    }
}

private func eventPayload<Event: StreamRecord>(_ payload: TurnPayload) throws -> Event {
    guard case .event(let any) = payload, let event = any as? Event else {
        throw OrchestraError(.internalError, "a handler of \(Event.self) was given \(payload)")
    }
    return event
}

private func commandPayload<C: GrainCommand>(_ payload: TurnPayload) throws -> C {
    guard case .command(let bytes) = payload else {
        throw OrchestraError(.internalError, "the handler of command \(C.name) was given \(payload)")
    }
    return try MessageCoding.decode(C.self, from: bytes)
}
