public import Agents
import Foundation
public import Silo

/// A program made of grains, workflows and agents, with Orchestra's whole command line.
///
/// ```swift
/// @main
/// struct Shop: OrchestraApplication {
///     static let grains: [any Grain.Type] = [Cart.self]
///     static let workflows = [WorkflowDefinition(name: "review", steps: [.init(agent: "reviewer")])]
///     static let agents = [reviewer]
/// }
/// ```
///
/// The executable then runs its own cluster (`shop up`), each node alone (`shop silo`, `shop agent`, …), and talks to
/// one (`shop run`, `shop call`). Every node of a cluster must run the same executable.
public protocol OrchestraApplication {
    /// The application's own grains; the built-in workflow grain is always there.
    static var grains: [any Grain.Type] { get }
    /// The application's own workflows; `summarize` is always there.
    static var workflows: [WorkflowDefinition] { get }
    /// The application's own agents; `summarizer` is always there.
    static var agents: [Agent] { get }
}

extension OrchestraApplication {
    public static var grains: [any Grain.Type] { [] }
    public static var workflows: [WorkflowDefinition] { [] }
    public static var agents: [Agent] { [] }

    /// Runs the command that the arguments name, and ends the process.
    ///
    /// Exit status: 0 success, 1 failure, 2 bad configuration, 64 wrong usage.
    @concurrent public static func main() async {
        let definition = ApplicationDefinition(grains: grains, workflows: workflows, agents: agents)
        let status = await ApplicationDefinition.$current.withValue(definition) {
            await RootCommand.run(arguments: Array(CommandLine.arguments.dropFirst()))
        }
        exit(status)
    }
}
