import Avro
package import OrchestraCore
package import Records

/// Names a handler within a grain type.
package enum HandlerName: Sendable, Hashable, CustomStringConvertible {
    case event(topic: String)
    case command(String)
    case timer(String)
    case reply(String)

    package var description: String {
        switch self {
        case .event(let topic): "On(\(topic))"
        case .command(let name): "Command(\(name))"
        case .timer(let name): "Timer(\(name))"
        case .reply(let name): "OnReply(\(name))"
        }
    }
}

/// A grain type with its Swift type erased: its table, and how to run, write and read its grains.
package protocol GrainKind: Sendable {
    var type: GrainType { get }
    var environment: TurnEnvironment { get }
    /// The streams whose records become turns, by topic.
    var streams: [String: StreamDescription] { get }
    /// The streams that turns may publish to but that this type does not handle.
    var publishedStreams: [String: StreamDescription] { get }
    var commands: [String] { get }
    var queries: [String] { get }
    func hasQuery(_ name: String) -> Bool

    func initial() -> any Grain
    func encode(_ grain: any Grain) throws -> EncodedState
    /// `nil`: the writer's schema is not known yet.
    func decode(_ state: EncodedState) throws -> (any Grain)?
    func decodeSuspending(_ state: EncodedState) async throws -> any Grain
    /// The codec of the states that this type writes and reads.
    var stateCodec: StateCodec { get }
    func registerState() async throws

    /// Whether the handler runs without suspending; `nil` when there is no such handler.
    func runsImmediately(_ handler: HandlerName) -> Bool?
    func runImmediately(
        _ handler: HandlerName, _ payload: TurnPayload, on grain: any Grain, turn: inout Turn
    ) throws -> HandlerResult
    func run(
        _ handler: HandlerName, _ payload: TurnPayload, on grain: any Grain, turn: inout Turn
    ) async throws -> HandlerResult
    func answer(_ query: String, _ payload: [UInt8], from grain: any Grain, context: QueryContext) throws -> [UInt8]
}

/// What a handler left behind.
package struct HandlerResult: Sendable {
    package var grain: any Grain
    /// A command's encoded reply.
    package var reply: [UInt8]?
}

/// ``GrainKind`` of one Swift type.
package struct TypedGrainKind<G: Grain>: GrainKind {
    package let type: GrainType
    package let environment: TurnEnvironment
    package private(set) var streams: [String: StreamDescription] = [:]
    package private(set) var publishedStreams: [String: StreamDescription] = [:]
    private let format: StateFormat<G>
    private var bodies: [HandlerName: HandlerEntry<G>.Body] = [:]
    private var answers: [String: @Sendable (G, [UInt8], QueryContext) throws -> [UInt8]] = [:]

    package var stateCodec: StateCodec { format.codec }
    package var commands: [String] {
        bodies.keys.compactMap { if case .command(let name) = $0 { name } else { nil } }.sorted()
    }
    package var queries: [String] { answers.keys.sorted() }
    package func hasQuery(_ name: String) -> Bool { answers[name] != nil }

    /// - Throws: ``OrchestraError`` with `badConfiguration` when two handlers have the same name, or a topic's name is
    ///   none.
    package init(_: G.Type, codec: any RecordCoding, limits: GrainLimits, workflows: WorkflowCatalog)
        throws(OrchestraError)
    {
        type = G.type
        format = G.stateFormat
        var names: Set<HandlerName> = []
        var timers: Set<String> = []
        var replies: [String: String] = [:]
        for entry in G.handlers.entries {
            switch entry.content {
            case .event(let stream, let body):
                try Topics.checkName(stream.topic)
                streams[stream.topic] = stream
                try TypedGrainKind.claim(.event(topic: stream.topic), in: &names)
                bodies[.event(topic: stream.topic)] = body
            case .command(let name, let body):
                try TypedGrainKind.claim(.command(name), in: &names)
                bodies[.command(name)] = body
            case .timer(let name, let body):
                try TypedGrainKind.claim(.timer(name), in: &names)
                bodies[.timer(name)] = body
                timers.insert(name)
            case .reply(let name, let command, let body):
                try TypedGrainKind.claim(.reply(name), in: &names)
                bodies[.reply(name)] = body
                replies[name] = command
            case .query(let name, let answer):
                guard answers.updateValue(answer, forKey: name) == nil else {
                    throw OrchestraError(.badConfiguration, "grain \(G.type) has two handlers Query(\(name))")
                }
            case .volatileCommand:
                throw OrchestraError(
                    .badConfiguration, "grain \(G.type) has the handlers of a volatile grain",
                    nextStep: "conform to VolatileGrain")
            case .publishes(let stream):
                try Topics.checkName(stream.topic)
                publishedStreams[stream.topic] = stream
            }
        }
        environment = TurnEnvironment(
            codec: codec, publishable: Set(streams.keys).union(publishedStreams.keys), timers: timers,
            replies: replies, limits: limits, workflows: workflows)
    }

    private static func claim(_ name: HandlerName, in names: inout Set<HandlerName>) throws(OrchestraError) {
        guard names.insert(name).inserted else {
            throw OrchestraError(.badConfiguration, "grain \(G.type) has two handlers \(name)")
        }
    }

    package func initial() -> any Grain { G() }

    package func encode(_ grain: any Grain) throws -> EncodedState {
        try format.encode(G.typed(grain), environment.codec)
    }

    package func decode(_ state: EncodedState) throws -> (any Grain)? {
        try format.decode(state, environment.codec)
    }

    package func decodeSuspending(_ state: EncodedState) async throws -> any Grain {
        try await format.decodeSuspending(state, environment.codec)
    }

    package func registerState() async throws {
        try await format.register(environment.codec, Topics.state)
    }

    package func runsImmediately(_ handler: HandlerName) -> Bool? {
        switch bodies[handler] {
        case .immediate: true
        case .suspending: false
        case nil: nil
        }
    }

    package func runImmediately(
        _ handler: HandlerName, _ payload: TurnPayload, on grain: any Grain, turn: inout Turn
    ) throws -> HandlerResult {
        guard case .immediate(let body) = bodies[handler] else { throw noHandler(handler) }
        var copy = try G.typed(grain)
        let reply = try body(&copy, payload, &turn)
        return HandlerResult(grain: copy, reply: reply)
    }

    package func run(
        _ handler: HandlerName, _ payload: TurnPayload, on grain: any Grain, turn: inout Turn
    ) async throws -> HandlerResult {
        guard case .suspending(let body) = bodies[handler] else {
            return try runImmediately(handler, payload, on: grain, turn: &turn)
        }
        var copy = try G.typed(grain)
        let reply = try await body(&copy, payload, &turn)
        return HandlerResult(grain: copy, reply: reply)
    }

    package func answer(
        _ query: String, _ payload: [UInt8], from grain: any Grain, context: QueryContext
    ) throws -> [UInt8] {
        guard let answer = answers[query] else {
            throw OrchestraError.noHandler("query", query, of: "grain type \(type)", has: queries)
        }
        return try answer(G.typed(grain), payload, context)
    }

    private func noHandler(_ handler: HandlerName) -> OrchestraError {
        OrchestraError(.unimplemented, "grain type \(type) has no handler \(handler)")
    }
}

extension Grain {
    /// A grain of this type that was kept without its Swift type.
    static func typed(_ grain: any Grain) throws(OrchestraError) -> Self {
        guard let typed = grain as? Self else {
            throw OrchestraError(.internalError, "a \(Swift.type(of: grain)) was kept as a grain of type \(type)")
        }
        return typed
    }
}
