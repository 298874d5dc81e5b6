import EventLog
import Logging
import OrchestraCore
import Records
import Synchronization

/// Tells Kafka that this silo lives, and hears of the others: see ``SiloLiveness``.
///
/// Heartbeats are committed through the silo's lane, by the producer that its partitions commit through. So one that
/// commits also proves that the silo has not been fenced, and renews its ``ServingLease``.
final class Heartbeats: Sendable {
    private struct State {
        var liveness: SiloLiveness
        var sequence: Int64 = 0
        /// Heartbeats that have not come back yet, oldest first.
        var underWay: [(sequence: Int64, sentAt: ContinuousClock.Instant)] = []
        /// Who waits for a heartbeat that is sent after now to come back.
        var confirmations: [(from: ContinuousClock.Instant, wait: OneShot<Bool>)] = []
        var isEnded = false
        /// A later process of the same name has been heard: this one must not commit any more.
        var isSuperseded = false
    }

    private let silo: String
    private let generation: Int64
    private let interval: Duration
    private let sink: any TransactionSink
    private let open: @Sendable () async throws(EventLogError) -> any IntakeSource
    private let codec: any RecordCoding
    private let lease: ServingLease
    private let clocks: Clocks
    private let logger: Logger
    private let superseded: @Sendable () -> Void
    private let heard: @Sendable () -> Void
    private let state: Mutex<State>
    private let wanted = Signal()

    /// - Parameters:
    ///   - sink: of the silo's lane.
    ///   - open: begins to read all heartbeats, see ``SiloLog/openHeartbeats()``.
    ///   - superseded: told when a later process of the same name is heard.
    ///   - heard: told when ``liveness`` has changed.
    init(
        _ configuration: SiloConfiguration, sink: any TransactionSink,
        open: @escaping @Sendable () async throws(EventLogError) -> any IntakeSource, codec: any RecordCoding,
        lease: ServingLease, logger: Logger, superseded: @escaping @Sendable () -> Void = {},
        heard: @escaping @Sendable () -> Void = {}
    ) {
        self.superseded = superseded
        self.heard = heard
        silo = configuration.nodeID
        generation = configuration.generation
        interval = configuration.heartbeatInterval
        clocks = configuration.clocks
        self.sink = sink
        self.open = open
        self.codec = codec
        self.lease = lease
        self.logger = logger
        state = Mutex(State(liveness: SiloLiveness(start: configuration.clocks.monotonic())))
    }

    /// What is known now.
    var liveness: SiloLiveness { state.withLock { $0.liveness } }

    /// Makes sure that what Kafka has heard until now is known: sends a heartbeat and waits until it has come back.
    ///
    /// - Returns: `false` if it did not within `limit`.
    func confirm(within limit: Duration = .seconds(2)) async -> Bool {
        let wait = OneShot<Bool>()
        let isEnded = state.withLock { state in
            state.confirmations.append((clocks.monotonic(), wait))
            return state.isEnded
        }
        if isEnded { return false }
        wanted.notify()
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Cancelled once the heartbeat is back.
                try? await self.clocks.sleep(limit)
                wait.resolve(false)
            }
            defer { group.cancelAll() }
            return await wait.value(ifCancelled: false)
        }
    }

    /// Sends and hears until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.send() }
            group.addTask { await self.hear() }
        }
        let waiting = state.withLock { state in
            state.isEnded = true
            defer { state.confirmations = [] }
            return state.confirmations
        }
        for (_, wait) in waiting { wait.resolve(false) }
    }

    // MARK: Sending

    private func send() async {
        var isJoined = false
        while !Task.isCancelled, !state.withLock({ $0.isSuperseded }) {
            do throws(EventLogError) {
                if !isJoined {
                    try await sink.initialize(timeout: .seconds(10))
                    isJoined = true
                }
                try await beat()
            } catch {
                // The life is over, or the network failed: join again, which does nothing if it is the same life.
                isJoined = false
                if !Task.isCancelled {
                    logger.warning("a heartbeat was not committed", metadata: ["error": "\(error)"])
                }
            }
            await pause(isJoined ? interval : .milliseconds(200))
        }
    }

    private func beat() async throws(EventLogError) {
        let sentAt = clocks.monotonic()
        let sequence = state.withLock { state in
            state.sequence += 1
            state.underWay.append((state.sequence, sentAt))
            if state.underWay.count > 64 { state.underWay.removeFirst() }
            return state.sequence
        }
        let value: [UInt8]
        do {
            value = try codec.encode(SiloHeartbeat(silo: silo, generation: generation, sequence: sequence))
        } catch {
            throw .closed("a heartbeat cannot be encoded: \(error)")
        }
        let record = ProducerRecord(
            topic: Topics.silos, partition: 0, key: Array(silo.utf8), value: value)
        try await sink.commit(TransactionBatch(records: [record]))
        lease.renew(sentAt: sentAt)
    }

    /// Waits, or until somebody wants a heartbeat at once.
    private func pause(_ duration: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Cancelled by a wish, or the end.
                try? await self.clocks.sleep(duration)
            }
            group.addTask { await self.wanted.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Hearing

    private func hear() async {
        var pause = Duration.milliseconds(100)
        while !Task.isCancelled {
            do {
                let intake = try await open()
                do {
                    while true {
                        await take(try await intake.next(maximumRecords: 1_024))
                        pause = .milliseconds(100)
                    }
                } catch {
                    await intake.close()
                    throw error
                }
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning("the heartbeats of the silos cannot be read", metadata: ["error": "\(error)"])
                // Ends early only when the silo stops.
                try? await clocks.sleep(pause)
                pause = min(pause * 2, .seconds(2))
            }
        }
    }

    private func take(_ events: [IntakeEvent]) async {
        for event in events {
            guard case .record(let record) = event, let value = record.value else { continue }
            do {
                if let known = try codec.decodeIfKnown(SiloHeartbeat.self, from: value) {
                    take(known)
                } else {
                    take(try await codec.decode(SiloHeartbeat.self, from: value))
                }
            } catch {
                logger.warning(
                    "a heartbeat cannot be read and is passed over",
                    metadata: ["offset": "\(record.offset)", "error": "\(error)"])
            }
        }
        heard()
    }

    private func noteSuccessor(_ heartbeat: SiloHeartbeat) {
        guard heartbeat.silo == silo, heartbeat.generation > generation else { return }
        let isFirst = state.withLock { state in
            defer { state.isSuperseded = true }
            return !state.isSuperseded
        }
        guard isFirst else { return }
        logger.critical(
            "another process runs under this silo's name: this one stops committing",
            metadata: ["generation": "\(generation)", "other": "\(heartbeat.generation)"])
        superseded()
    }

    private func take(_ heartbeat: SiloHeartbeat) {
        let now = clocks.monotonic()
        noteSuccessor(heartbeat)
        let confirmed = state.withLock { state -> [OneShot<Bool>] in
            state.liveness.hear(heartbeat.silo, at: now)
            guard heartbeat.silo == silo, heartbeat.generation == generation,
                let index = state.underWay.firstIndex(where: { $0.sequence == heartbeat.sequence })
            else { return [] }
            let sentAt = state.underWay[index].sentAt
            state.underWay.removeFirst(index + 1)
            state.liveness.hearOwn(sentAt: sentAt)
            defer { state.confirmations.removeAll { $0.from <= sentAt } }
            return state.confirmations.filter { $0.from <= sentAt }.map(\.wait)
        }
        for wait in confirmed { wait.resolve(true) }
    }
}
