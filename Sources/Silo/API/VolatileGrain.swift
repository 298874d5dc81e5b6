public import Avro
public import OrchestraCore

/// A grain whose state is only in the memory of its owner: a cache, a session, a desk that asks others.
///
/// Its commands are answered as soon as they have run, without Kafka, and in return its turns may do what those of
/// durable grains must not: call other grains and wait for them (``VolatileTurn/cluster``). What it costs:
/// - Its state is lost when its partition moves to another silo or its silo ends, and when it has been idle for a
///   while (15 minutes: `silo.idle.time`). A command that has begun then is answered `outcomeUnknown`. Keep in it what can be found again.
/// - A repeated request id is not recognised: a command that is repeated runs again.
/// - It has commands and queries only: no streams, timers or told commands.
///
/// ```swift
/// struct Desk: VolatileGrain {
///     static let type: GrainType = "desk"
///     var prices: [String: Int] = [:]
///     static let handlers = Handlers<Self> {
///         Command(Quote.self) { desk, quote, turn in
///             if let price = desk.prices[quote.article] { return price }
///             let price = try await turn.cluster.grain(Article.self, key: quote.article).ask(Price()).value
///             desk.prices[quote.article] = price
///             return price
///         }
///     }
/// }
/// ```
/// As with durable grains, a turn runs on a copy that is dropped if it throws, turns of one grain run one after the
/// other, and queries see the state after the last turn that has ended.
public protocol VolatileGrain: Grain where TurnContext == VolatileTurn {}

extension VolatileGrain {
    /// There is none: nothing of the grain is written.
    public static var stateFormat: StateFormat<Self> { .none }
}

extension VolatileGrain where Self: Codable {
    public static var stateFormat: StateFormat<Self> { .none }
}

extension VolatileGrain where Self: AvroRecord {
    public static var stateFormat: StateFormat<Self> { .none }
}

/// One command of a ``VolatileGrain``: what its handler may know and do besides changing the grain.
///
/// The turn has as long as its caller waits. After that it is cancelled and given up: its caller gets
/// `deadlineExceeded`, and what it comes to is dropped.
public struct VolatileTurn: Sendable {
    /// The grain's identity.
    public let grain: GrainID
    /// When the turn began, by this silo's clock.
    public let now: Timestamp
    /// Whether the grain has no state: nobody has called it for long, it has completed, or it was lost.
    public let isNew: Bool
    /// The W3C `traceparent` of the caller, if it is traced. Calls over ``cluster`` carry it on.
    public let traceParent: String?
    /// Calls other grains. No call waits longer than the caller of this turn does.
    ///
    /// A command to a grain that waits for this turn itself, directly or through others, fails at once with `callCycle`,
    /// as do calls nested more than 16 deep. Grains that call each other in turns that have nothing to do with each other
    /// may still wait for each other, until a deadline ends it: let calls go in one direction.
    public let cluster: ClusterClient

    /// The grain's key.
    public var key: String { grain.key }

    package var completes = false

    /// Ends the grain: its state is dropped with the end of this turn, and the next command finds a new one.
    public mutating func complete() { completes = true }
}

/// The calls of a volatile grain's turn: they end with it, and say who waits for them.
package struct NestedCalls: GrainCallHandler {
    package var next: any GrainCallHandler
    /// The volatile grains that wait for the calls, outermost first, the calling one last.
    package var callers: [GrainID]
    package var deadline: ContinuousClock.Instant
    package var now: @Sendable () -> ContinuousClock.Instant
    package var traceParent: String?

    package func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        var request = request
        request.callers = callers
        request.timeLeft = min(request.timeLeft, now().duration(to: deadline))
        request.traceParent = request.traceParent ?? traceParent
        guard request.timeLeft > .zero else {
            throw OrchestraError(
                .deadlineExceeded, "the turn that calls \(request.method) of \(request.grain) has no time left")
        }
        guard callers.count <= GrainCallRequest.maximumCallers else {
            throw OrchestraError(
                .callCycle, "calls are nested more than \(GrainCallRequest.maximumCallers) deep: \(request.chain)",
                nextStep: "let grains call in fewer steps, or through commands that are told")
        }
        return try await next.handle(request)
    }
}

extension GrainCallRequest {
    /// Who waits for whom, for people.
    package var chain: String { (callers + [grain]).map(\.description).joined(separator: " → ") }

    /// - Throws: ``OrchestraError`` with `callCycle` when the grain waits for this very call.
    package func checkForCycle() throws(OrchestraError) {
        guard callers.contains(grain) else { return }
        throw OrchestraError(
            .callCycle, "\(grain) would wait for itself: \(chain)",
            nextStep: "hand over what it needs with the call, or ask it a query, which does not wait")
    }
}
