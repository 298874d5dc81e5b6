import OrchestraCore
import Silo

/// What the grains of this program answer to.
enum GrainMethods {
    /// The grain types of this program with the names of their commands and queries.
    static var all: [GrainType: [String: GrainCallRequest.Kind]] {
        var result: [GrainType: [String: GrainCallRequest.Kind]] = [:]
        for grain in [WorkflowGrain.self] + ApplicationDefinition.current.grains {
            result[grain.type] = methods(of: grain)
        }
        return result
    }

    private static func methods<G: Grain>(of grain: G.Type) -> [String: GrainCallRequest.Kind] {
        var methods: [String: GrainCallRequest.Kind] = [:]
        for entry in G.handlers.entries {
            switch entry.content {
            case .command(let name, _), .volatileCommand(let name, _): methods[name] = .command
            case .query(let name, _): methods[name] = .query
            case .event, .timer, .reply, .publishes: break
            }
        }
        return methods
    }
}

extension CallCommand {
    /// Whether the method is a command or a query: what the user said, else what this program's grains say.
    func kind(of type: GrainType) throws(OrchestraError) -> GrainCallRequest.Kind {
        if command { return .command }
        if query { return .query }
        let known = GrainMethods.all
        guard let methods = known[type] else {
            let types = known.keys.map(\.name).sorted().joined(separator: ", ")
            throw OrchestraError(
                .invalidArgument, "this program has no grain \(type), only \(types)",
                nextStep: "say --command or --query to call a grain of another program")
        }
        guard let kind = methods[method] else {
            let names = methods.keys.sorted().joined(separator: ", ")
            throw OrchestraError(
                .invalidArgument, "grain \(type) has no command or query \(method), only \(names)")
        }
        return kind
    }
}
