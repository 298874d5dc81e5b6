import OrchestraCore
import Synchronization

/// Something that works on the tasks of workflows: a name, and what it does for one task.
///
/// ```swift
/// let greeter = Agent("greeter", description: "Greets whoever the input names.") { context in
///     "Hello, \(context.input)!"
/// }
/// ```
public struct Agent: Sendable {
    /// Tasks name it; 1 to 100 of `A-Z a-z 0-9 . _ -`. Its workers form the consumer group `agents.<name>`.
    public let name: String
    public let description: String
    /// Does one task and returns its output.
    ///
    /// It may run more than once for the same task: after a retriable failure, and after a crash of its worker. It
    /// must end soon after its task is cancelled. ``KernelError`` and `OrchestraError` say themselves whether they are
    /// retriable; any other error is retried, up to three times in all.
    public let run: @Sendable (AgentContext) async throws -> String

    public init(_ name: String, description: String, run: @escaping @Sendable (AgentContext) async throws -> String) {
        precondition(Agent.isValid(name), "\"\(name)\" is not an agent's name: use 1 to 100 of A-Z a-z 0-9 . _ -")
        self.name = name
        self.description = description
        self.run = run
    }

    private static func isValid(_ name: String) -> Bool {
        (1...100).contains(name.utf8.count)
            && name.utf8.allSatisfy { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") || $0.isTemplateNameByte }
    }
}

/// A task as its agent sees it.
public struct AgentContext: Sendable {
    /// `workflowId/step`: the same in every repetition, so an effect outside can be made once.
    public let taskID: String
    public let workflowID: String
    public let input: String
    /// From 1; more after a retriable failure.
    public let attempt: Int
    /// Functions, prompts and the model; its deadline is that of the task.
    public let kernel: Kernel
    /// After this the workflow no longer waits for a result.
    public let deadline: ContinuousClock.Instant
    private let journal: Journal

    package init(
        taskID: String, workflowID: String, input: String, attempt: Int = 1, kernel: Kernel,
        deadline: ContinuousClock.Instant
    ) {
        self.taskID = taskID
        self.workflowID = workflowID
        self.input = input
        self.attempt = attempt
        self.deadline = deadline
        var kernel = kernel
        kernel.deadline = min(kernel.deadline ?? deadline, deadline)
        self.kernel = kernel
        journal = Journal()
    }

    /// Calls a function of the kernel and notes its output in the task's result.
    ///
    /// - Parameters:
    ///   - plugin: the plugin's name.
    ///   - function: the function's name.
    ///   - arguments: by default the task's input as `input`.
    /// - Returns: the output as text.
    /// - Throws: ``KernelError``.
    public func invoke(
        _ plugin: String, _ function: String, _ arguments: KernelArguments? = nil
    ) async throws(KernelError) -> String {
        let found = try kernel.find(plugin, function)
        let result = try await kernel.invoke(plugin, function, arguments ?? KernelArguments(input: input))
        note(plugin: found.plugin.name, function: found.function.name, output: result.text, model: result.model)
        return result.text
    }

    /// Notes what a function contributed. ``invoke(_:_:_:)`` does it by itself.
    ///
    /// - Parameters:
    ///   - plugin: the plugin's name.
    ///   - function: the function's name.
    ///   - output: appears in the task's result.
    ///   - model: the model that wrote it; `nil` if none did.
    public func note(plugin: String, function: String, output: String, model: String? = nil) {
        journal.entries.withLock { entries in
            entries.functions.append(AgentReport.Entry(plugin: plugin, function: function, output: output))
            entries.model = model ?? entries.model
        }
    }

    /// What has been noted.
    package var report: AgentReport { journal.entries.withLock { $0 } }

    private final class Journal: Sendable {
        let entries = Mutex(AgentReport())
    }
}

/// What the functions of a task contributed.
package struct AgentReport: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var plugin: String
        package var function: String
        package var output: String
    }

    package var functions: [Entry] = []
    /// The model that answered last.
    package var model: String?
}
