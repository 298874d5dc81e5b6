import Agents
import Foundation
import Silo

/// What the commands of this process run: the application's parts and the built-in ones.
struct ApplicationDefinition: Sendable {
    /// Bound by ``OrchestraApplication/main()``, since commands are types that the argument parser makes.
    @TaskLocal static var current = ApplicationDefinition(grains: [], workflows: [], agents: [])

    let grains: [any Grain.Type]
    let workflows: [WorkflowDefinition]
    let agents: [Agent]

    init(grains: [any Grain.Type], workflows: [WorkflowDefinition], agents: [Agent]) {
        self.grains = grains
        self.workflows = [.summarize] + workflows
        self.agents = [.summarizer] + agents
    }

    /// The file name of the executable: what the user types.
    var commandName: String { (CommandLine.arguments.first as NSString?)?.lastPathComponent ?? "orchestra" }
}
