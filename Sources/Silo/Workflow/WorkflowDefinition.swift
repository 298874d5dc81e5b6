package import OrchestraCore

/// A workflow: agents that work one after the other, each on the output of the one before.
public struct WorkflowDefinition: Sendable, Hashable {
    /// One agent's turn.
    public struct Step: Sendable, Hashable {
        /// The agent's name.
        public var agent: String
        /// How long the workflow waits for the agent; then it fails. At least 1 ms.
        public var deadline: Duration

        /// - Parameters:
        ///   - agent: the agent's name.
        ///   - deadline: how long to wait for its result. Default: 5 minutes.
        public init(agent: String, deadline: Duration = .seconds(300)) {
            self.agent = agent
            self.deadline = deadline
        }
    }

    /// What triggers name.
    public var name: String
    /// At least one.
    public var steps: [Step]

    public init(name: String, steps: [Step]) {
        self.name = name
        self.steps = steps
    }

    /// `summarize`: one step, the agent `summarizer`.
    public static let summarize = WorkflowDefinition(name: "summarize", steps: [Step(agent: "summarizer")])
}

/// The workflows that a silo knows, by name, and what holds for all of them.
package struct WorkflowCatalog: Sendable, Hashable {
    package private(set) var definitions: [String: WorkflowDefinition] = [:]
    /// How long a finished workflow can still be asked about.
    package var retention: Duration

    /// - Throws: ``OrchestraError`` with `badConfiguration` for a name given twice, a workflow without steps, or a
    ///   deadline that is not positive.
    package init(_ workflows: [WorkflowDefinition], retention: Duration) throws(OrchestraError) {
        self.retention = retention
        for workflow in workflows {
            guard definitions.updateValue(workflow, forKey: workflow.name) == nil else {
                throw OrchestraError(.badConfiguration, "two workflows are named \"\(workflow.name)\"")
            }
            guard !workflow.name.isEmpty, !workflow.steps.isEmpty else {
                throw OrchestraError(
                    .badConfiguration, "workflow \"\(workflow.name)\" has \(workflow.steps.count) steps",
                    nextStep: "give it a name and at least one step")
            }
            for step in workflow.steps where step.deadline < .milliseconds(1) || step.agent.isEmpty {
                throw OrchestraError(
                    .badConfiguration,
                    "workflow \"\(workflow.name)\" gives agent \"\(step.agent)\" a deadline of \(step.deadline)",
                    nextStep: "name the agent and give it at least 1 ms")
            }
        }
    }

    package subscript(name: String) -> WorkflowDefinition? { definitions[name] }
}
