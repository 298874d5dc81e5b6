internal import CRdKafka
package import Logging
internal import OrchestraCore
internal import Synchronization

/// Writes batches of records that become visible together or not at all, and proves ownership: of all producers with
/// one transactional id only the one that initialized last can commit.
///
/// A consumer group's offsets can not go along: `rd_kafka_send_offsets_to_transaction` of all versions so far ignores
/// its time-out and blocks for as long as the group's coordinator is away (librdkafka issue 5456), and with it
/// everything that waits for a commit. Who needs exactly-once writes its positions as a record of the batch;
/// ``GroupOffsetWriter`` tells a group what only tools look at.
///
/// Use: ``initialize(timeout:)`` once, then ``commit(_:)`` one batch after the other. `TransactionMachine` has the
/// states and their transitions. All calls of librdkafka are made by the client's own thread; since that thread also
/// serves the delivery reports, a commit does not wait for librdkafka's 10 ms polling step.
package final class TransactionalProducer: Sendable {
    private let client: ClientHandle
    private let transactions: Transactions

    /// Starts a producer; nothing is fenced before ``initialize(timeout:)``.
    ///
    /// - Parameters:
    ///   - transactionalID: who this producer is, across restarts.
    ///   - transactionTimeout: after this long the broker aborts a transaction of a producer that is gone; also the
    ///     longest that ``commit(_:)`` takes. 10 s by default: an open transaction holds back the readers of all
    ///     partitions that it wrote to.
    /// - Throws: ``EventLogError`` with `badConfiguration`.
    package init(
        _ configuration: KafkaConfiguration, transactionalID: String, transactionTimeout: Duration = .seconds(10),
        logger: Logger
    ) throws(EventLogError) {
        let milliseconds = max(1000, transactionTimeout.wholeMilliseconds)
        let properties = ClientConfiguration(
            configuration, role: .producer,
            defaults: [
                "linger.ms": "0",
                "message.timeout.ms": "\(milliseconds)",
                "socket.timeout.ms": "\(max(1000, milliseconds - 100))",
                // There may be one of these for each partition, and their traffic is seen in the consumers' lag.
                "statistics.interval.ms": "0",
            ],
            fixed: [
                "enable.idempotence": "true",
                "transactional.id": transactionalID,
                "transaction.timeout.ms": "\(milliseconds)",
            ])
        let deliveries = DeliveryTally()
        client = try ClientHandle(
            properties, name: "\(configuration.clientID)/\(transactionalID)", logger: logger,
            onDelivery: { deliveries.count($0) })
        transactions = Transactions(
            client: client, deliveries: deliveries, transactionalID: transactionalID,
            timeout: .milliseconds(milliseconds),
            maximumRecordSize: properties.value(of: "message.max.bytes").flatMap { Int($0) } ?? .max)
    }

    deinit {
        client.beginClosing(finally: { [transactions] _ in transactions.close() })
    }

    /// Whether a batch can be committed now.
    package var isUsable: Bool { transactions.phase == .ready }

    /// Becomes the owner of the transactional id: aborts what a predecessor left open and fences it. Waits while the
    /// coordinator is still aborting.
    ///
    /// - Parameter timeout: how long to try.
    /// - Throws: ``EventLogError``: `timedOut` or `retriable`: call again; `fenced`: a still newer producer has come;
    ///   `fatal`; `closed`.
    package func initialize(timeout: Duration) async throws(EventLogError) {
        try await client.run { [transactions] in transactions.initialize($0, timeout: timeout) }
    }

    /// Commits one batch. An empty one sends nothing (so it proves nothing).
    ///
    /// - Throws: ``EventLogError``: `abortable`: aborted cleanly, nothing is visible, the batch may be run again;
    ///   `tooLarge`, `unknownTopic`: the same, but the batch must change; `fenced`: certainly not committed, and this
    ///   producer is over; `outcomeUnknown`: it may have been committed, and this producer is over; `fatal`: not
    ///   committed, and this producer is over; `retriable`: it is not initialized, or busy; `closed`.
    package func commit(_ records: [ProducerRecord]) async throws(EventLogError) {
        guard !records.isEmpty else { return }
        try await client.run { [transactions] in transactions.commit($0, records) }
    }

    /// Waits for a commit under way, then ends. What was not committed is aborted by the next owner's `initialize`.
    package func close() async {
        await client.close(finally: { [transactions] _ in transactions.close() })
    }
}

/// Counts the delivery reports of the transaction under way; a failed one tells why better than the commit does.
private final class DeliveryTally: Sendable {
    private struct State {
        var delivered = 0
        var firstFailure: (code: rd_kafka_resp_err_t, context: String)?
    }

    private let state = Mutex(State())

    func reset() { state.withLock { $0 = State() } }

    func count(_ message: UnsafePointer<rd_kafka_message_t>) {
        let code = message.pointee.err
        state.withLock { state in
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else {
                state.delivered += 1
                return
            }
            // Records that were thrown away because of another's failure explain nothing.
            guard state.firstFailure == nil, code != RD_KAFKA_RESP_ERR__PURGE_QUEUE else { return }
            let topic = String(cString: rd_kafka_topic_name(message.pointee.rkt))
            state.firstFailure = (
                code, "a record of \(message.pointee.len) bytes for \(topic)[\(message.pointee.partition)]"
            )
        }
    }

    var delivered: Int { state.withLock { $0.delivered } }
    var failure: EventLogError? {
        state.withLock { state in
            state.firstFailure.map { EventLogError(code: $0.code, context: $0.context) }
        }
    }
}

/// Drives a `TransactionMachine` with librdkafka's blocking calls. Everything but ``phase`` runs on the client's thread.
private final class Transactions: Sendable {
    private struct Step {
        var what: String
        var deadline: ContinuousClock.Instant
        var expected: Int
    }

    private let client: ClientHandle
    private let deliveries: DeliveryTally
    private let topics = TopicHandles()
    private let timeout: Duration
    private let maximumRecordSize: Int
    private let machine: Mutex<TransactionMachine>
    /// The partition counts seen so far; they only grow.
    private let partitionCounts = Mutex<[String: Int32]>([:])

    init(
        client: ClientHandle, deliveries: DeliveryTally, transactionalID: String, timeout: Duration,
        maximumRecordSize: Int
    ) {
        self.client = client
        self.deliveries = deliveries
        self.timeout = timeout
        self.maximumRecordSize = maximumRecordSize
        machine = Mutex(TransactionMachine(transactionalID: transactionalID))
    }

    var phase: TransactionMachine.Phase { machine.withLock { $0.phase } }

    func close() {
        topics.destroyAll()
        machine.withLock { if $0.phase != .closed { $0.enter(.closed) } }
    }

    func initialize(_ handle: OpaquePointer, timeout: Duration) -> Result<Void, EventLogError> {
        let refusal = machine.withLock { machine -> EventLogError? in
            if machine.phase == .ready { return nil }
            if machine.phase != .created { return machine.refusal() }
            machine.enter(.initializing)
            return nil
        }
        if let refusal { return .failure(refusal) }
        guard phase == .initializing else { return .success(()) }
        let deadline = ContinuousClock.now + timeout
        // Without known metadata the first transaction would take up to a second. A failure shows up again below.
        if let counts = try? Metadata.allPartitionCounts(
            handle, client, timeoutMilliseconds: milliseconds(until: deadline))
        {
            partitionCounts.withLock { $0 = counts }
        }
        return perform(handle, Step(what: "initializing", deadline: deadline, expected: 0)) {
            rd_kafka_init_transactions(handle, milliseconds(until: deadline))
        }.map { enter(.ready) }
    }

    func commit(_ handle: OpaquePointer, _ records: [ProducerRecord]) -> Result<Void, EventLogError> {
        if let refusal = machine.withLock({ $0.refusal() }) { return .failure(refusal) }
        let deadline = ContinuousClock.now + timeout
        if let refusal = check(handle, records, deadline: deadline) { return .failure(refusal) }
        deliveries.reset()
        let step = Step(what: "committing", deadline: deadline, expected: records.count)
        return perform(handle, step) { rd_kafka_begin_transaction(handle) }
            .flatMap {
                enter(.inTransaction)
                return produce(handle, records, step)
            }
            .flatMap {
                enter(.committing)
                return perform(handle, step) { rd_kafka_commit_transaction(handle, milliseconds(until: deadline)) }
            }
            .map { enter(.ready) }
    }

    /// Refuses what can never be written before a transaction begins. It is more than a short cut: librdkafka 2.0.2
    /// would wait for an unknown topic until the transaction times out; and when it aborts at once, it does not tell the
    /// coordinator of partitions whose registration is still under way, so that their transaction stays open until it
    /// times out and fences its own producer.
    private func check(
        _ handle: OpaquePointer, _ records: [ProducerRecord], deadline: ContinuousClock.Instant
    ) -> EventLogError? {
        for record in records {
            guard record.size <= maximumRecordSize else {
                return EventLogError(
                    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, record.description,
                    detail: "message.max.bytes is \(maximumRecordSize)", on: client)
            }
            if let count = partitionCounts.withLock({ $0[record.topic] }), record.partition < count { continue }
            do throws(EventLogError) {
                let count = try Metadata.partitionCount(
                    of: record.topic, handle, client, timeoutMilliseconds: milliseconds(until: deadline))
                partitionCounts.withLock { $0[record.topic] = count }
                guard let count, (0..<count).contains(record.partition) else {
                    return EventLogError(
                        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, record.description,
                        detail: count.map { "the topic has \($0) partitions" } ?? "the topic does not exist", on: client
                    )
                }
            } catch {
                // Nothing was begun, so nothing is left behind.
                return error.kind == .fatal ? error : error.with(.abortable)
            }
        }
        return nil
    }

    private func produce(
        _ handle: OpaquePointer, _ records: [ProducerRecord], _ step: Step
    ) -> Result<Void, EventLogError> {
        for record in records {
            var code = record.produce(to: handle, topics: topics, opaque: nil)
            // A batch larger than librdkafka's queue: it drains while its reports are served.
            while code == RD_KAFKA_RESP_ERR__QUEUE_FULL, ContinuousClock.now < step.deadline {
                rd_kafka_poll(handle, 10)
                code = record.produce(to: handle, topics: topics, opaque: nil)
            }
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
            let failure = currentFailure(handle, code, record)
            // Lets the registration of partitions that is under way end before the abort; see `check`.
            if !failure.isFatal { rd_kafka_flush(handle, 2000) }
            if let outcome = settle(handle, failure, step) { return outcome }
        }
        return .success(())
    }

    /// A refused record aborts its transaction, unless librdkafka has failed for good.
    private func currentFailure(
        _ handle: OpaquePointer, _ code: rd_kafka_resp_err_t, _ record: ProducerRecord
    ) -> CallFailure {
        let (fatal, words) = withErrorText { text, size in rd_kafka_fatal_error(handle, text, size) }
        if fatal != RD_KAFKA_RESP_ERR_NO_ERROR {
            return CallFailure(code: fatal, message: "\(record): \(words)", isFatal: true)
        }
        return CallFailure(
            code: code, message: "\(record): \(String(cString: rd_kafka_err2str(code)))", requiresAbort: true)
    }

    /// Makes a call until it succeeds or the machine says that it is over.
    private func perform(
        _ handle: OpaquePointer, _ step: Step, _ call: () -> OpaquePointer?
    ) -> Result<Void, EventLogError> {
        var pause: Int32 = 10
        while let failure = CallFailure(consuming: call()) {
            if let outcome = settle(handle, failure, step) { return outcome }
            // The wait before the next attempt, spent serving callbacks.
            rd_kafka_poll(handle, pause)
            pause = min(pause * 2, 320)
        }
        return .success(())
    }

    /// - Returns: how the transaction ended; `nil` if the same call is to be made again.
    private func settle(
        _ handle: OpaquePointer, _ failure: CallFailure, _ step: Step
    ) -> Result<Void, EventLogError>? {
        let code = failure.isFatal ? fatalCode(handle) ?? failure.code : failure.code
        var error = EventLogError(code, step.what, detail: failure.message, on: client)
        if failure.requiresAbort, let cause = deliveries.failure { error = cause }
        let allDelivered = deliveries.delivered == step.expected
        let mayRepeat = ContinuousClock.now < step.deadline
        let directive = machine.withLock {
            $0.failed(failure, error: error, mayRepeat: mayRepeat, allDelivered: allDelivered)
        }
        switch directive {
        case .again: return nil
        case .stop(let error): return .failure(error)
        case .abort(let error):
            let abortStep = Step(what: "aborting", deadline: .now + timeout, expected: step.expected)
            return perform(handle, abortStep) {
                rd_kafka_abort_transaction(handle, milliseconds(until: abortStep.deadline))
            }
            .mapError { $0.during("an abort because of: \(error.message)") }
            .flatMap {
                enter(.ready)
                return .failure(error)
            }
        }
    }

    /// The first fatal error of this client; later ones only say that there was one.
    private func fatalCode(_ handle: OpaquePointer) -> rd_kafka_resp_err_t? {
        let code = rd_kafka_fatal_error(handle, nil, 0)
        return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : code
    }

    private func enter(_ phase: TransactionMachine.Phase) {
        machine.withLock { $0.enter(phase) }
    }

    private func milliseconds(until deadline: ContinuousClock.Instant) -> Int32 {
        Int32(clamping: max(1, (deadline - .now).wholeMilliseconds))
    }
}
