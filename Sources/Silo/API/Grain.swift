public import OrchestraCore

/// A virtual actor: a value whose stored properties are its durable state.
///
/// A grain is never created or destroyed by its users: it is addressed by type and key, begins as ``init()``
/// at its first turn, and is gone after ``Turn/complete()``. A *turn* is one handler run on a copy of the
/// committed value. If the handler throws, or its Kafka transaction does not commit, the copy is dropped and nothing
/// has happened; otherwise the new state, everything the turn published, and the input it consumed are committed in
/// one transaction. So there are no locks, no reentrancy and no half-changed grains.
///
/// ```swift
/// struct Counter: Grain, Codable {
///     static let type: GrainType = "counter"
///     var count = 0
///     static let handlers = Handlers<Self> {
///         Command(Add.self) { grain, add, turn in
///             grain.count += add.amount
///             return grain.count
///         }
///         Query(Read.self) { grain, _ in grain.count }
///     }
/// }
/// ```
public protocol Grain: Sendable {
    /// What a turn may do besides changing the grain. ``Turn``, except for a ``VolatileGrain``.
    associatedtype TurnContext = Turn

    /// The grain before its first turn.
    init()

    /// The stable name of this kind of grain; it is part of every state key, so never change it.
    static var type: GrainType { get }

    /// What the grain reacts to. A table: it is read once when the silo starts, and dispatch is by stable name.
    static var handlers: Handlers<Self> { get }

    /// How the state is kept in the changelog. JSON for a `Codable` grain, Avro for a grain that is a generated Avro
    /// record; other grains say it themselves.
    static var stateFormat: StateFormat<Self> { get }
}

/// The words of a handler table. As members of the grain they fix its type for inference, and win over types of the
/// same name in other modules (`Foundation.Timer`).
extension Grain {
    /// Answers a command: it may change the grain and is answered after its commit.
    public typealias Command<C: GrainCommand> = CommandHandler<Self, C>
    /// Answers a query from the committed state; it cannot change the grain.
    public typealias Query<Q: GrainQuery> = QueryHandler<Self, Q>
}

/// The words that only durable grains have.
extension Grain where TurnContext == Turn {
    /// Reacts to the records of a stream, keyed by the grain's key.
    public typealias On<Event: StreamRecord> = EventHandler<Self, Event>
    /// Reacts to a durable timer set by ``Turn/schedule(_:at:)``.
    public typealias Timer = TimerHandler<Self>
    /// Reacts to what comes of a command that a turn told another grain.
    public typealias OnReply<C: GrainCommand> = ReplyHandler<Self, C>
    /// Declares a stream that the grain's turns publish to.
    public typealias Publishes<Event: StreamRecord> = PublishedStream<Self, Event>
}
