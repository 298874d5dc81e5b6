import EventLog
import Logging
import OrchestraCore
import ServiceLifecycle
import Synchronization

/// One agent's part of a worker: a member of the agent's consumer group, the slots that do tasks, and the committer.
final class AgentLane: Sendable {
    private let configuration: AgentWorkerConfiguration
    private let runner: TaskRunner
    private let dispatcher: TaskDispatcher
    private let logger: Logger
    private let onReady: @Sendable () -> Void
    private let consumer = Mutex<GroupConsumer?>(nil)

    /// - Parameter onReady: called when the group has given this member its partitions (they may be none).
    init(
        _ runner: TaskRunner, configuration: AgentWorkerConfiguration, logger: Logger,
        onReady: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.runner = runner
        self.logger = logger
        self.onReady = onReady
        dispatcher = TaskDispatcher(limits: configuration.limits)
    }

    private enum Ended { case slot, committer, grace }

    /// Works until the graceful shutdown, then stops the intake, lets running tasks finish within the grace time, commits
    /// and leaves.
    ///
    /// - Throws: ``OrchestraError`` if the worker cannot go on.
    func run() async throws {
        let outcome: Result<Void, any Error> = await withTaskGroup(of: Ended.self) { group in
            for _ in 0..<configuration.concurrency {
                group.addTask {
                    await self.work()
                    return .slot
                }
            }
            group.addTask {
                await self.commitContinuously()
                return .committer
            }
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await cancelWhenGracefulShutdown { try await self.takeIn() })
            } catch {
                outcome = .failure(error)
            }
            dispatcher.close()
            let grace = configuration.shutdownGrace
            group.addTask {
                try? await Task.sleep(for: grace)
                return .grace
            }
            var slots = configuration.concurrency
            while slots > 0, let ended = await group.next() {
                switch ended {
                case .slot: slots -= 1
                case .committer: break
                case .grace: group.cancelAll()
                }
            }
            group.cancelAll()
            return outcome
        }
        await leave()
        try outcome.get()
    }

    // MARK: Slots

    private func work() async {
        while let ticket = await dispatcher.next() {
            let isDone = await runner.process(ticket.record)
            dispatcher.update { $0.finish(ticket, isDone: isDone) }
            adjustFlow()
        }
    }

    /// Pauses and resumes partitions as the board wants. The lock keeps what the board decides and what the consumer is
    /// told in the same order: else a pause could overtake the resume that follows it, and the partition would stand still.
    private func adjustFlow() {
        consumer.withLock { consumer in
            guard let consumer else { return }
            let (pause, resume) = dispatcher.update { $0.pausing() }
            if !pause.isEmpty { consumer.pause(pause) }
            if !resume.isEmpty { consumer.resume(resume) }
        }
    }

    // MARK: Intake

    /// How many records one call of the consumer brings: they may be large.
    private static let batchSize = 16

    private func takeIn() async throws {
        var backoff = Backoff()
        while !Task.isCancelled {
            let consumer: GroupConsumer
            do {
                consumer = try GroupConsumer(
                    configuration.kafka, groupID: "agents.\(runner.agent.name)", topics: [configuration.tasksTopic],
                    instanceID: configuration.instanceID, sessionTimeout: configuration.sessionTimeout, logger: logger)
            } catch {
                throw OrchestraError(.badConfiguration, error.message, nextStep: error.nextStep, cause: error)
            }
            self.consumer.withLock { $0 = consumer }
            let error = await read(consumer)
            // Closed by `leave`, which commits first.
            if Task.isCancelled { return }
            self.consumer.withLock { $0 = nil }
            dispatcher.update { $0.removeAll() }
            await consumer.close()
            if error.kind == .fenced {
                throw OrchestraError(
                    .conflict, "another worker with the instance id \(configuration.instanceID) has joined the group",
                    nextStep: "give each worker its own node id", cause: error)
            }
            logger.error("the consumer failed and is replaced", metadata: ["error": "\(error)"])
            do { try await backoff.wait() } catch { return }
        }
    }

    /// Reads until the consumer cannot be used any more, or the task is cancelled.
    private func read(_ consumer: GroupConsumer) async -> EventLogError {
        while true {
            do {
                for event in try await consumer.next(maximumRecords: AgentLane.batchSize) {
                    await handle(event, consumer)
                }
                adjustFlow()
            } catch {
                switch error.kind {
                case .fatal, .fenced, .closed: return error
                default:
                    logger.info("waiting for tasks", metadata: ["error": "\(error)"])
                    do { try await Task.sleep(for: .milliseconds(500)) } catch { return .cancelled }
                }
            }
        }
    }

    private func handle(_ event: GroupEvent, _ consumer: GroupConsumer) async {
        switch event {
        case .record(let record):
            dispatcher.update { $0.add(record) }
        case .assigned(let partitions):
            logger.info("partitions assigned", metadata: ["count": "\(partitions.count)"])
            dispatcher.update { $0.assign(partitions) }
            onReady()
        case .revoked(let partitions):
            await giveUp(partitions, consumer)
        case .lost(let partitions):
            logger.warning("partitions lost", metadata: ["count": "\(partitions.count)"])
            dispatcher.update { $0.remove(partitions) }
        }
    }

    /// Drops what waits, gives running tasks a moment, commits what is acknowledged. A task that is not done by then goes
    /// on; its result counts, and the partition's next reader does it again.
    private func giveUp(_ partitions: [TopicPartition], _ consumer: GroupConsumer) async {
        logger.info("partitions revoked", metadata: ["count": "\(partitions.count)"])
        dispatcher.update { $0.drain(partitions) }
        let deadline = ContinuousClock.now + configuration.revocationGrace
        while dispatcher.read({ $0.isRunning(partitions) }), ContinuousClock.now < deadline, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
        await commit(dispatcher.read { $0.committable(in: partitions) }, consumer)
        dispatcher.update { $0.remove(partitions) }
    }

    // MARK: Commits

    private func commitContinuously() async {
        while await dispatcher.progress() {
            var pause = configuration.commitInterval
            if let consumer = consumer.withLock({ $0 }) {
                let isCommitted = await commit(dispatcher.read { $0.committable() }, consumer)
                if !isCommitted { pause = max(pause, AgentLane.pauseAfterFailedCommit) }
            }
            // Ends at once when the lane ends: `leave` makes the last commit.
            do { try await Task.sleep(for: pause) } catch { return }
        }
    }

    private static let pauseAfterFailedCommit = Duration.seconds(1)

    /// A commit that fails is made again with the next one. Should a revocation's commit overtake this one, the worst that
    /// can happen is that records are done twice.
    @discardableResult
    private func commit(_ offsets: [TopicPartition: Int64], _ consumer: GroupConsumer) async -> Bool {
        guard !offsets.isEmpty else { return true }
        do {
            try await consumer.commit(offsets)
            dispatcher.update { $0.committed(offsets) }
            return true
        } catch {
            logger.info("offsets were not committed", metadata: ["error": "\(error)"])
            return false
        }
    }

    /// How long the last commit may take.
    private static let lastCommitTimeout = Duration.seconds(3)

    private func leave() async {
        guard let consumer = consumer.withLock({ $0 }) else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await self.commit(self.dispatcher.read { $0.committable() }, consumer) }
            group.addTask { try? await Task.sleep(for: AgentLane.lastCommitTimeout) }
            await group.next()
            // Ends a commit that hangs, too.
            await consumer.close()
            group.cancelAll()
        }
    }
}

extension EventLogError {
    fileprivate static var cancelled: EventLogError {
        EventLogError(kind: .closed, name: "cancelled", message: "the worker ends")
    }
}
