package import OrchestraCore

/// A volatile grain type with its Swift type erased.
package protocol VolatileKind: Sendable {
    var type: GrainType { get }
    var commands: [String] { get }
    var queries: [String] { get }
    func hasCommand(_ name: String) -> Bool
    func hasQuery(_ name: String) -> Bool
    /// Whether the command's handler runs without suspending.
    func runsImmediately(_ command: String) -> Bool
    func runImmediately(
        _ command: String, _ payload: [UInt8], on grain: (any Grain)?, turn: inout VolatileTurn
    ) throws -> HandlerResult
    /// Runs any command's handler, whether it suspends or not.
    func run(
        _ command: String, _ payload: [UInt8], on grain: (any Grain)?, turn: inout VolatileTurn
    ) async throws -> HandlerResult
    func answer(_ query: String, _ payload: [UInt8], from grain: any Grain, context: QueryContext) throws -> [UInt8]
}

/// ``VolatileKind`` of one Swift type.
package struct TypedVolatileKind<G: VolatileGrain>: VolatileKind {
    private var bodies: [String: HandlerEntry<G>.VolatileBody] = [:]
    private var answers: [String: @Sendable (G, [UInt8], QueryContext) throws -> [UInt8]] = [:]

    package var type: GrainType { G.type }
    package var commands: [String] { bodies.keys.sorted() }
    package var queries: [String] { answers.keys.sorted() }
    package func hasCommand(_ name: String) -> Bool { bodies[name] != nil }
    package func hasQuery(_ name: String) -> Bool { answers[name] != nil }

    /// - Throws: ``OrchestraError`` with `badConfiguration` for two handlers of one name, or one that only durable grains
    ///   can have.
    package init(_: G.Type) throws(OrchestraError) {
        for entry in G.handlers.entries {
            let isNew: Bool
            switch entry.content {
            case .volatileCommand(let name, let body): isNew = bodies.updateValue(body, forKey: name) == nil
            case .query(let name, let answer): isNew = answers.updateValue(answer, forKey: name) == nil
            case .command, .event, .timer, .reply, .publishes:
                throw OrchestraError(
                    .badConfiguration, "volatile grain \(G.type) has a handler that is neither Command nor Query",
                    nextStep: "streams, timers and replies are for durable grains: conform to Grain instead")
            }
            guard isNew else {
                throw OrchestraError(.badConfiguration, "volatile grain \(G.type) has two handlers of one name")
            }
        }
    }

    package func runsImmediately(_ command: String) -> Bool {
        if case .immediate = bodies[command] { true } else { false }
    }

    package func runImmediately(
        _ command: String, _ payload: [UInt8], on grain: (any Grain)?, turn: inout VolatileTurn
    ) throws -> HandlerResult {
        guard case .immediate(let body) = bodies[command] else {
            throw OrchestraError.noHandler("command", command, of: "volatile grain \(G.type)", has: commands)
        }
        var copy = try grain.map(G.typed) ?? G()
        let reply = try body(&copy, payload, &turn)
        return HandlerResult(grain: copy, reply: reply)
    }

    package func run(
        _ command: String, _ payload: [UInt8], on grain: (any Grain)?, turn: inout VolatileTurn
    ) async throws -> HandlerResult {
        guard case .suspending(let body) = bodies[command] else {
            return try runImmediately(command, payload, on: grain, turn: &turn)
        }
        var copy = try grain.map(G.typed) ?? G()
        let reply = try await body(&copy, payload, &turn)
        return HandlerResult(grain: copy, reply: reply)
    }

    package func answer(
        _ query: String, _ payload: [UInt8], from grain: any Grain, context: QueryContext
    ) throws -> [UInt8] {
        guard let answer = answers[query] else {
            throw OrchestraError.noHandler("query", query, of: "volatile grain \(G.type)", has: queries)
        }
        return try answer(G.typed(grain), payload, context)
    }
}
