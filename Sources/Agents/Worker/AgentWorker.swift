package import Avro
import EventLog
package import Logging
package import OrchestraCore
import Records
import ServiceLifecycle
import Synchronization

/// Does the tasks of workflows with a set of agents.
///
/// For each agent the worker is a member of the consumer group `agents.<name>` on `agent-tasks`. It runs up to
/// `concurrency` tasks at once, in any order, publishes an `AgentResult` for each, and commits the low-water mark only
/// when the results are acknowledged; so a task is done at least once, and its result counts once because the
/// workflow awaits it once. Records that are no tasks go to the dead letters. While the broker or the registry is
/// away the worker waits.
package final class AgentWorker: Service {
    private let configuration: AgentWorkerConfiguration
    private let agents: [Agent]
    private let codec: RecordCodec
    private let logger: Logger
    /// Agents whose group has not answered yet.
    private let joining: Mutex<Set<String>>

    /// - Parameters:
    ///   - configuration: how to work.
    ///   - agents: at least one, each with a name of its own.
    ///   - codec: encodes and decodes records; the worker registers the types that it needs.
    ///   - logger: gets the worker's messages.
    /// - Throws: ``OrchestraError`` with `badConfiguration`.
    package init(
        _ configuration: AgentWorkerConfiguration, agents: [Agent], codec: RecordCodec, logger: Logger
    ) throws(OrchestraError) {
        let names = Set(agents.map(\.name))
        guard !agents.isEmpty, names.count == agents.count else {
            throw OrchestraError(
                .badConfiguration,
                "an agent worker was given the agents [\(agents.map(\.name).joined(separator: ", "))]",
                nextStep: "give it at least one, each with a name of its own")
        }
        self.configuration = configuration
        self.agents = agents
        self.codec = codec
        self.logger = logger
        joining = Mutex(names)
    }

    /// Whether every agent has joined its group: tasks are taken from now on.
    package var isReady: Bool { joining.withLock { $0.isEmpty } }

    /// Works until the graceful shutdown or until it is cancelled.
    ///
    /// - Throws: ``OrchestraError``: `badConfiguration`, `conflict` if another live worker has the same instance id, or
    ///   what the registry says about the schemas.
    package func run() async throws {
        let counts: [String: Int32]
        do {
            counts = try await cancelWhenGracefulShutdown { try await self.prepare() }
        } catch is TaskAbandoned {
            return
        }
        let writer = try ResultWriter(
            configuration, codec: codec, resultPartitions: counts[configuration.resultsTopic] ?? 1,
            letterPartitions: counts[configuration.deadLettersTopic] ?? 1, logger: logger)
        do {
            try await runLanes(writer)
        } catch {
            await writer.close()
            throw error
        }
        await writer.close()
    }

    private func runLanes(_ writer: ResultWriter) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for agent in agents {
                var logger = logger
                logger[metadataKey: "agent"] = "\(agent.name)"
                let runner = TaskRunner(
                    agent: agent, configuration: configuration, codec: codec, writer: writer, logger: logger)
                let lane = AgentLane(runner, configuration: configuration, logger: logger) { [self] in
                    joining.withLock { _ = $0.remove(agent.name) }
                }
                group.addTask { try await lane.run() }
            }
            try await group.waitForAll()
        }
    }

    /// Waits for the registry and the topics.
    ///
    /// - Returns: the partition counts of the topics that are written.
    private func prepare() async throws -> [String: Int32] {
        try await register(AgentTask.self, configuration.tasksTopic)
        try await register(AgentResult.self, configuration.resultsTopic)
        try await register(DeadLetter.self, configuration.deadLettersTopic)
        let admin = try Admin(configuration.kafka, logger: logger)
        let counts = await Result { try await self.partitionCounts(admin) }
        await admin.close()
        return try counts.get()
    }

    private func register<R: AvroRecord>(_ type: R.Type, _ topic: String) async throws {
        var backoff = Backoff()
        while true {
            do {
                return try await codec.register(type, subject: "\(topic)-value")
            } catch {
                // Not `catch where`: with a typed throw in a generic function it crashes the compiler (6.3.1).
                guard error.code == .unavailable else { throw error }
                logger.info("waiting for the schema registry", metadata: ["error": "\(error)"])
                try await backoff.wait()
            }
        }
    }

    private func partitionCounts(_ admin: Admin) async throws -> [String: Int32] {
        let topics = [configuration.tasksTopic, configuration.resultsTopic, configuration.deadLettersTopic]
        var backoff = Backoff()
        while true {
            do {
                let counts = try await admin.partitionCounts(of: topics, timeout: .seconds(5))
                if topics.allSatisfy({ counts[$0, default: 0] > 0 }) { return counts }
                let missing = topics.filter { counts[$0] == nil }.joined(separator: ", ")
                logger.info("waiting for topics", metadata: ["missing": "\(missing)"])
            } catch {
                logger.info("waiting for the broker", metadata: ["error": "\(error)"])
            }
            try await backoff.wait()
        }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
