import Avro
package import EventLog
package import Logging
package import OrchestraCore
package import Records
package import Silo
import Synchronization
import Transport

/// Where accepted triggers go. ``KafkaStartEventSink`` is the real one; tests bring a scripted one.
package protocol StartEventSink: Sendable {
    /// Writes the event durably.
    ///
    /// - Returns: the place of its record in the partition of its workflow, once the broker has acknowledged it.
    /// - Throws: ``OrchestraError``: `overloaded` when the send queue is full, `unavailable` when it was certainly not
    ///   written, `outcomeUnknown` when it may have been, `tooLarge`.
    func append(_ event: WorkflowStartEvent) async throws(OrchestraError) -> GrainCallRequest.Position

    /// What keeps triggers from being written now; `nil` when nothing does.
    var obstacle: String? { get }

    /// Prepares, then watches the broker until the task is cancelled.
    ///
    /// - Throws: ``OrchestraError`` when events can never be written: the schema is refused, the producer is broken.
    func run() async throws
}

/// Writes start events to `workflow-start-events`, keyed by workflow id, to the partition of Kafka's default
/// partitioner.
package final class KafkaStartEventSink: StartEventSink {
    private struct State: Sendable {
        /// Why not, until the schema is registered.
        var schemaObstacle: String? = "the schema of start events is not registered yet"
        /// Why not, as of the last look at the topic or a newer acknowledgement.
        var brokerObstacle: String? = "the broker has not answered yet"
        var brokerAnsweredAt: ContinuousClock.Instant?

        /// A broker that is away for a moment does not stop triggers: they wait in the producer. A silence of some
        /// length ends the readiness.
        mutating func take(_ view: TopicView) {
            switch view {
            case .fine:
                brokerObstacle = nil
                brokerAnsweredAt = .now
            case .wrong(let reason):
                brokerObstacle = reason
                brokerAnsweredAt = .now
            case .noAnswer(let reason):
                if brokerObstacle != nil { brokerObstacle = reason }
            }
        }
    }

    private let configuration: GatewayConfiguration
    private let producer: Producer
    private let codec: any RecordCoding
    private let logger: Logger
    private let state = Mutex(State())
    private let broken = Transport.OneShot<Void>()

    /// - Parameters:
    ///   - producer: stays its maker's to close, after the gateway has ended.
    ///   - codec: gets the event's schema registered when the sink runs.
    package init(
        _ configuration: GatewayConfiguration, producer: Producer, codec: any RecordCoding, logger: Logger
    ) {
        self.configuration = configuration
        self.producer = producer
        self.codec = codec
        self.logger = logger
    }

    package var obstacle: String? {
        state.withLock { state in
            if let obstacle = state.schemaObstacle ?? state.brokerObstacle { return obstacle }
            guard let answered = state.brokerAnsweredAt else { return "the broker has not answered yet" }
            let silence = ContinuousClock.now - answered
            return silence > configuration.limits.brokerSilence
                ? "the broker has not answered for \(silence.components.seconds) s" : nil
        }
    }

    package func append(_ event: WorkflowStartEvent) async throws(OrchestraError) -> GrainCallRequest.Position {
        if let obstacle = state.withLock({ $0.schemaObstacle ?? $0.brokerObstacle }) {
            throw OrchestraError(.unavailable, obstacle, nextStep: "try again after a moment")
        }
        let value: [UInt8]
        do {
            value = try codec.encode(event)
        } catch {
            throw OrchestraError(.internalError, "the start event cannot be encoded: \(error)", cause: error)
        }
        let key = Array(event.workflowId.utf8)
        let record = ProducerRecord(
            topic: Topics.workflowStartEvents, partition: partition(forKey: key, count: configuration.partitionCount),
            key: key, value: value)
        do {
            let offset = try await producer.send(record)
            state.withLock { $0.brokerAnsweredAt = .now }
            return GrainCallRequest.Position(topic: Topics.workflowStartEvents, offset: offset + 1)
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: EventLogError) -> OrchestraError {
        let next = error.nextStep ?? "try again after a moment"
        switch error.kind {
        case .queueFull:
            return OrchestraError(.overloaded, error.message, nextStep: next, cause: error)
        case .tooLarge:
            return OrchestraError(.tooLarge, error.message, nextStep: "send a smaller input", cause: error)
        case .outcomeUnknown:
            return OrchestraError(
                .outcomeUnknown, "the broker did not say whether it has the trigger: \(error.message)",
                nextStep: "ask for the workflow, or repeat the request with an Idempotency-Key", cause: error)
        case .fatal, .fenced:
            broken.finish(.failure(error))
            return OrchestraError(.unavailable, error.message, nextStep: next, cause: error)
        default:
            return OrchestraError(.unavailable, error.message, nextStep: next, cause: error)
        }
    }

    package func run() async throws {
        // The first check, so that nothing is written to a partition of a count that cannot be.
        guard configuration.partitionCount > 0 else {
            throw OrchestraError(
                .badConfiguration, "the gateway was given \(configuration.partitionCount) partitions",
                nextStep: "use the cluster's count, 1 or more; the default is 16")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.registerSchema()
                try await self.watchTopic()
            }
            group.addTask { try await self.broken.value() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// - Throws: the registry's refusal. While it cannot be reached it is asked again.
    private func registerSchema() async throws {
        var pause = Duration.milliseconds(100)
        while true {
            do {
                try await codec.register(
                    WorkflowStartEvent.self, subject: "\(Topics.workflowStartEvents)-value")
                state.withLock { $0.schemaObstacle = nil }
                return
            } catch let error as OrchestraError where error.code == .unavailable {
                state.withLock { $0.schemaObstacle = "the schema registry cannot be reached: \(error.message)" }
                logger.warning("cannot reach the schema registry", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(2))
        }
    }

    /// Looks at the topic every few seconds, sooner while something is wrong.
    private func watchTopic() async throws {
        let admin = try Admin(configuration.kafka, logger: logger)
        do {
            while true {
                let view = await look(admin)
                let news = state.withLock { state in
                    let before = state.brokerObstacle
                    state.take(view)
                    return before == state.brokerObstacle ? nil : state.brokerObstacle
                }
                if let news { logger.warning("cannot accept triggers", metadata: ["reason": "\(news)"]) }
                try await Task.sleep(for: view == .fine ? .seconds(5) : .milliseconds(500))
            }
        } catch {
            await admin.close()
            throw error
        }
    }

    private func look(_ admin: Admin) async -> TopicView {
        let topic = Topics.workflowStartEvents
        do throws(EventLogError) {
            let counts = try await admin.partitionCounts(of: [topic], timeout: .seconds(5))
            guard let count = counts[topic] else {
                return .wrong("topic \(topic) does not exist yet: no silo has started")
            }
            guard count == configuration.partitionCount else {
                return .wrong(
                    "topic \(topic) has \(count) partitions, this gateway expects \(configuration.partitionCount)")
            }
            return .fine
        } catch {
            return .noAnswer("the broker cannot be reached: \(error.message)")
        }
    }
}

/// What a look at the start topic showed.
private enum TopicView: Equatable {
    case fine
    case wrong(String)
    case noAnswer(String)
}
