public import OrchestraCore
public import Records

/// The built-in workflow: gives each step's agent a task, waits for its result, and keeps the outcome.
///
/// A start event counts only for a new workflow, a result only for the task that is awaited, so repeated
/// deliveries have one effect. Every task has a deadline that the grain keeps itself, so a workflow ends also when no
/// worker exists. A start event that names an unknown workflow makes a failed workflow with a clear error, which its
/// trigger sees when it asks. Finished workflows are deleted after the retention time.
public struct WorkflowGrain: Grain {
    public static let type: GrainType = "workflow"

    /// What is kept. A workflow that has not begun has an empty name.
    public private(set) var state: WorkflowState

    public init() {
        let never = Timestamp(millisecondsSinceEpoch: 0)
        state = WorkflowState(workflow: "", status: .running, step: 0, acceptedAt: never, startedAt: never)
    }

    init(state: WorkflowState) {
        self.state = state
    }

    public static var stateFormat: StateFormat<WorkflowGrain> {
        .avro(WorkflowState.self, load: { WorkflowGrain(state: $0) }, save: { $0.state })
    }

    public static let handlers = Handlers<Self> {
        On(.workflowStartEvents) { grain, event, turn in try grain.start(event, &turn) }
        On(.agentResults) { grain, result, turn in try grain.take(result, &turn) }
        Publishes(.agentTasks)
        Timer(deadlineTimer) { grain, turn in try grain.missDeadline(&turn) }
        Timer(retentionTimer) { _, turn in turn.complete() }
        Command(Cancel.self) { grain, cancel, turn in try grain.cancel(cancel, &turn) }
        Query(GetStatus.self) { grain, query, context in
            try grain.snapshot(of: context.grain, untilFinished: query.untilFinished)
        }
        Query(GetDocument.self) { grain, query, context in
            try JSONDocument(grain.snapshot(of: context.grain, untilFinished: query.untilFinished).json)
        }
    }

    static let deadlineTimer = "task-deadline"
    static let retentionTimer = "retention"
    /// Room for the envelope and the other fields beside the outputs in a state of the largest size.
    static let reservedStateSize = 16 << 10

    /// Whether a start event has been taken. Its absence is what a stray result or command meets.
    private var hasBegun: Bool { !state.workflow.isEmpty }

    private func snapshot(of grain: GrainID, untilFinished: Bool) throws(NotYet) -> WorkflowSnapshot {
        if untilFinished, state.status == .running { throw NotYet() }
        return WorkflowSnapshot(workflowId: grain.key, state: state)
    }

    private mutating func start(_ event: WorkflowStartEvent, _ turn: inout Turn) throws {
        guard turn.standing == .new else { return }
        guard event.workflowId == turn.key, !event.workflow.isEmpty else {
            throw OrchestraError(
                .invalidArgument,
                "a start event of workflow \"\(event.workflow)\", id \"\(event.workflowId)\", has key \"\(turn.key)\"",
                nextStep: "key the record by its workflowId and name the workflow")
        }
        state.workflow = event.workflow
        state.inputDigest = event.inputDigest
        state.acceptedAt = event.acceptedAt
        state.startedAt = turn.now
        state.traceParent = event.traceParent
        guard let definition = turn.environment.workflows[event.workflow] else {
            return try finish(
                .failed, error: "no workflow is named \"\(event.workflow)\" on this cluster", &turn)
        }
        try begin(step: 0, of: definition, input: event.input, &turn)
    }

    private mutating func begin(
        step: Int, of definition: WorkflowDefinition, input: String, _ turn: inout Turn
    ) throws {
        let task = "\(turn.key)/\(step)"
        let deadline = turn.now.advanced(by: definition.steps[step].deadline)
        state.step = Int32(step)
        state.awaitedTask = task
        try turn.publish(
            AgentTask(
                taskId: task, workflowId: turn.key, agent: definition.steps[step].agent, input: input,
                createdAt: turn.now, deadline: deadline, traceParent: state.traceParent),
            to: .agentTasks, key: turn.key)
        try turn.schedule(WorkflowGrain.deadlineTimer, at: deadline)
    }

    private mutating func take(_ result: AgentResult, _ turn: inout Turn) throws {
        guard hasBegun, state.status == .running, state.awaitedTask == result.taskId else { return }
        state.model = result.model ?? state.model
        guard result.outcome == .succeeded else {
            return try finish(
                .failed, error: result.error ?? "agent \"\(result.agent)\" failed without saying why", &turn)
        }
        let size = result.functions.reduce(keptSize + result.output.utf8.count) {
            $0 + $1.plugin.utf8.count + $1.function.utf8.count + $1.output.utf8.count + 16
        }
        let limit = turn.environment.limits.maximumStateSize - WorkflowGrain.reservedStateSize
        guard size <= limit else {
            return try finish(
                .failed,
                error: "the outputs would take \(size) bytes with that of agent \"\(result.agent)\"; "
                    + "a workflow keeps at most \(limit)", &turn)
        }
        state.output = result.output
        state.functions += result.functions.map {
            StepOutput(step: state.step, plugin: $0.plugin, function: $0.function, output: $0.output)
        }
        try proceed(after: Int(state.step), output: result.output, &turn)
    }

    private mutating func proceed(after step: Int, output: String, _ turn: inout Turn) throws {
        guard let definition = turn.environment.workflows[state.workflow] else {
            return try finish(
                .failed, error: "workflow \"\(state.workflow)\" was removed from this cluster while it ran", &turn)
        }
        guard step + 1 < definition.steps.count else { return try finish(.completed, error: nil, &turn) }
        try begin(step: step + 1, of: definition, input: output, &turn)
    }

    private mutating func missDeadline(_ turn: inout Turn) throws {
        guard hasBegun, state.status == .running, let task = state.awaitedTask else { return }
        let steps = turn.environment.workflows[state.workflow]?.steps ?? []
        let step = Int(state.step)
        let agent = steps.indices.contains(step) ? "agent \"\(steps[step].agent)\"" : "the agent"
        try finish(
            .failed, error: "\(agent) gave no result for task \(task) within its deadline; is a worker running?", &turn)
    }

    private mutating func cancel(_ cancel: Cancel, _ turn: inout Turn) throws -> WorkflowSnapshot {
        guard hasBegun else {
            throw OrchestraError(.notFound, "there is no workflow \"\(turn.key)\"")
        }
        if state.status == .running {
            let reason = cancel.reason ?? "cancelled"
            guard reason.utf8.count <= 4_096 else {
                throw OrchestraError(
                    .invalidArgument, "a reason of \(reason.utf8.count) bytes", nextStep: "use at most 4,096 bytes")
            }
            try finish(.cancelled, error: reason, &turn)
        }
        return WorkflowSnapshot(workflowId: turn.key, state: state)
    }

    private mutating func finish(_ status: WorkflowStatus, error: String?, _ turn: inout Turn) throws {
        state.status = status
        state.error = error?.truncated(toBytes: WorkflowGrain.reservedStateSize / 2)
        state.awaitedTask = nil
        state.finishedAt = turn.now
        turn.cancelTimer(WorkflowGrain.deadlineTimer)
        try turn.schedule(
            WorkflowGrain.retentionTimer, at: turn.now.advanced(by: turn.environment.workflows.retention))
    }

    private var keptSize: Int {
        state.functions.reduce(0) {
            $0 + $1.plugin.utf8.count + $1.function.utf8.count + $1.output.utf8.count + 16
        }
    }
}
