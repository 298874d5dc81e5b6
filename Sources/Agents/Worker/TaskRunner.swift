import Avro
import EventLog
import Logging
import OrchestraCore
import Records

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Works off one record: decodes the task, lets the agent do it, and publishes the result.
struct TaskRunner: Sendable {
    let agent: Agent
    let configuration: AgentWorkerConfiguration
    let codec: RecordCodec
    let writer: ResultWriter
    let logger: Logger

    /// - Returns: whether the record is done: its result or dead letter is acknowledged, or it is not for this agent.
    ///   `false` only if the surrounding task was cancelled: the record must be read again.
    func process(_ record: ConsumedRecord) async -> Bool {
        do {
            guard let task = try await decode(record) else { return true }
            guard task.agent == agent.name else { return true }
            let (result, failure) = try await execute(task)
            let letter = failure.map { deadLetter(record, code: "agentFailed", reason: $0, attempts: result.attempts) }
            try await writer.write(result, letter: letter)
            return true
        } catch {
            return false
        }
    }

    /// - Returns: `nil` if the record was no task and has become a dead letter.
    private func decode(_ record: ConsumedRecord) async throws(TaskAbandoned) -> AgentTask? {
        var backoff = Backoff()
        while true {
            do throws(AvroError) {
                let task = try await decodeOnce(record)
                guard record.key?.elementsEqual(task.workflowId.utf8) == true else {
                    throw AvroError(.malformed, "the record's key is not its workflowId \"\(task.workflowId)\"")
                }
                return task
            } catch  where error.isRetriable {
                logger.warning("the schema registry is away; the task waits", metadata: ["error": "\(error)"])
                try await backoff.wait()
            } catch {
                logger.warning(
                    "a record that is no task goes to the dead letters",
                    metadata: ["place": "\(record.topicPartition)@\(record.offset)", "error": "\(error)"])
                try await writer.write(
                    deadLetter(record, code: error.code.rawValue, reason: error.message, attempts: 1), key: record.key)
                return nil
            }
        }
    }

    private func decodeOnce(_ record: ConsumedRecord) async throws(AvroError) -> AgentTask {
        guard let value = record.value else { throw AvroError(.endOfData, "the record has no value") }
        guard record.key != nil else { throw AvroError(.malformed, "the record has no key") }
        if let task = try codec.decodeIfKnown(AgentTask.self, from: value) { return task }
        return try await codec.decode(AgentTask.self, from: value)
    }

    /// Runs the agent, again after retriable failures as long as there is time.
    ///
    /// - Returns: the result, and why the agent failed if it ran and did.
    private func execute(_ task: AgentTask) async throws(TaskAbandoned) -> (AgentResult, failure: String?) {
        let startedAt = Timestamp.now
        let timeLeft = task.deadline.duration(since: startedAt)
        guard timeLeft > .zero else {
            let late = startedAt.duration(since: task.deadline)
            AgentTelemetry.recordAgent(agent.name, outcome: "expired", duration: .zero)
            return (result(task, startedAt, error: "the task's deadline passed \(late) before it was taken up"), nil)
        }
        let started = ContinuousClock.now
        let deadline = started.advanced(by: timeLeft)
        var attempt = 1
        while true {
            let context = AgentContext(
                taskID: task.taskId, workflowID: task.workflowId, input: task.input, attempt: attempt,
                kernel: configuration.kernel, deadline: deadline)
            do {
                let output = try await TaskRunner.run(agent, context, until: deadline)
                AgentTelemetry.recordAgent(agent.name, outcome: "succeeded", duration: started.duration(to: .now))
                return (result(task, startedAt, output: output, report: context.report, attempts: attempt), nil)
            } catch {
                guard !Task.isCancelled else { throw TaskAbandoned() }
                let failure = AgentFailure(error)
                let delay = configuration.retries.delay(
                    after: attempt, serverDelay: nil, timeLeft: ContinuousClock.now.duration(to: deadline),
                    jitter: .random(in: 0...1))
                guard failure.isRetriable, let delay else {
                    let duration = started.duration(to: .now)
                    AgentTelemetry.recordAgent(agent.name, outcome: "failed", duration: duration)
                    logger.warning(
                        "a task failed", metadata: ["task": "\(task.taskId)", "error": "\(failure.message)"])
                    return (
                        result(task, startedAt, report: context.report, error: failure.message, attempts: attempt),
                        failure.message
                    )
                }
                logger.info(
                    "a task failed and is tried again",
                    metadata: ["task": "\(task.taskId)", "attempt": "\(attempt)", "error": "\(failure.message)"])
                try await TaskAbandoned.sleep(for: delay)
                attempt += 1
            }
        }
    }

    /// - Throws: what the agent throws; ``KernelError`` with `deadlineExceeded` at the deadline.
    private static func run(
        _ agent: Agent, _ context: AgentContext, until deadline: ContinuousClock.Instant
    ) async throws -> String {
        try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask { try await agent.run(context) }
            group.addTask {
                try await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            defer { group.cancelAll() }
            guard let output = try await group.next() ?? nil else {
                throw KernelError(.deadlineExceeded, "the agent was not done at the task's deadline")
            }
            return output
        }
    }

    private func result(
        _ task: AgentTask, _ startedAt: Timestamp, output: String = "", report: AgentReport = AgentReport(),
        error: String? = nil, attempts: Int = 0
    ) -> AgentResult {
        AgentResult(
            taskId: task.taskId, workflowId: task.workflowId, agent: agent.name, worker: configuration.nodeID,
            outcome: error == nil ? .succeeded : .failed, output: output,
            functions: report.functions.map {
                FunctionOutput(plugin: $0.plugin, function: $0.function, output: $0.output)
            },
            error: error, model: report.model, attempts: Int32(clamping: attempts), startedAt: startedAt,
            finishedAt: .now, traceParent: task.traceParent)
    }

    private func deadLetter(_ record: ConsumedRecord, code: String, reason: String, attempts: Int32) -> DeadLetter {
        DeadLetter(
            topic: record.topicPartition.topic, partition: record.topicPartition.partition, offset: record.offset,
            code: code, reason: String(reason.prefix(2000)), attempts: attempts, node: configuration.nodeID, at: .now,
            payload: record.value.map { Array($0.prefix(ResultWriter.maximumPayload)) },
            payloadSize: Int32(clamping: record.value?.count ?? 0))
    }
}

/// Why an agent failed, and whether running it again may help.
struct AgentFailure {
    var message: String
    var isRetriable: Bool

    init(_ error: any Error) {
        switch error {
        case let error as KernelError:
            message = error.description
            isRetriable = error.isRetriable
        case let error as OrchestraError:
            message = error.description
            isRetriable = [.unavailable, .overloaded, .outcomeUnknown].contains(error.code)
        default:
            message = "\(error)"
            isRetriable = true
        }
        message = String(message.prefix(2000))
    }
}

/// The worker ends before the record is done.
struct TaskAbandoned: Error {
    static func sleep(for duration: Duration) async throws(TaskAbandoned) {
        do { try await Task.sleep(for: duration) } catch { throw TaskAbandoned() }
    }
}

/// Growing waits between attempts at something that must succeed in the end: from 0.1 s to 5 s.
struct Backoff {
    private var delay = Duration.milliseconds(100)

    mutating func wait() async throws(TaskAbandoned) {
        try await TaskAbandoned.sleep(for: delay * Double.random(in: 0.75...1.25))
        delay = min(delay * 2, .seconds(5))
    }
}

extension Timestamp {
    /// The wall clock.
    static var now: Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
    }
}
