public import OrchestraCore
import Records

/// What a workflow shows of itself: the reply to ``GetStatus``.
public struct WorkflowSnapshot: Codable, Sendable, Hashable {
    /// Where a workflow stands. `running` is the only one that changes.
    public enum Status: String, Codable, Sendable, Hashable {
        case running, completed, failed, cancelled
    }

    /// What one function of an agent contributed.
    public struct Function: Codable, Sendable, Hashable {
        /// The step, counted from 0.
        public var step: Int
        public var plugin: String
        public var function: String
        public var output: String
    }

    public var workflowId: String
    /// The name of the workflow's definition.
    public var workflow: String
    public var status: Status
    /// The last step's output, once the workflow is completed.
    public var output: String?
    public var functions: [Function]
    /// Why it failed or was cancelled.
    public var error: String?
    /// The model that answered last.
    public var model: String?
    /// When a gateway accepted it.
    public var acceptedAt: Timestamp
    /// When its first task was given out.
    public var startedAt: Timestamp
    /// When it completed, failed or was cancelled.
    public var finishedAt: Timestamp?
    /// SHA-256 of workflow, NUL, input in lower-case hex: tells a repeated trigger from another one.
    public var inputDigest: String

    /// Whether nothing will change any more.
    public var isFinished: Bool { status != .running }

    init(workflowId: String, state: WorkflowState) {
        self.workflowId = workflowId
        workflow = state.workflow
        status =
            switch state.status {
            case .running: .running
            case .completed: .completed
            case .failed: .failed
            case .cancelled: .cancelled
            }
        output = state.status == .completed ? state.output : nil
        functions = state.functions.map {
            Function(step: Int($0.step), plugin: $0.plugin, function: $0.function, output: $0.output)
        }
        error = state.error
        model = state.model
        acceptedAt = state.acceptedAt
        startedAt = state.startedAt
        finishedAt = state.finishedAt
        inputDigest = state.inputDigest
    }
}

/// Asks a workflow where it stands.
public struct GetStatus: GrainQuery {
    public typealias Reply = WorkflowSnapshot
    public static let name = "GetStatus"

    /// Whether the answer waits until the workflow has ended, as long as the call's deadline allows. Default: `false`.
    public var untilFinished: Bool

    public init(untilFinished: Bool = false) {
        self.untilFinished = untilFinished
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        untilFinished = try values.decodeIfPresent(Bool.self, forKey: .untilFinished) ?? false
    }
}

/// Asks a workflow for what the HTTP API shows of it. The owner writes it, so that gateways pass it on as it is.
package struct GetDocument: GrainQuery {
    package typealias Reply = JSONDocument
    package static let name = "GetDocument"

    /// Whether the answer waits until the workflow has ended, as long as the call's deadline allows.
    package var untilFinished: Bool

    package init(untilFinished: Bool) {
        self.untilFinished = untilFinished
    }
}

/// Stops a running workflow: results that arrive later are dropped. A finished workflow stays as it is.
public struct Cancel: GrainCommand {
    /// The workflow after the command.
    public typealias Reply = WorkflowSnapshot
    public static let name = "Cancel"

    /// Kept as the workflow's error. Default: "cancelled".
    public var reason: String?

    public init(reason: String? = nil) {
        self.reason = reason
    }
}
