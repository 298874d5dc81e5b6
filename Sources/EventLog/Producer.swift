internal import CRdKafka
package import Logging
internal import OrchestraCore
internal import Synchronization

/// Writes records, each acknowledged by all replicas and written once even when the network makes librdkafka repeat
/// itself (idempotent). Records of one partition that one task sends keep their order.
///
/// What is outstanding is bounded; beyond the bounds `send` fails at once with `queueFull` instead of waiting, so that
/// the caller can refuse its own caller.
package final class Producer: Sendable {
    /// How much may be outstanding: sent and neither acknowledged nor given up.
    package struct Bounds: Sendable, Hashable {
        package var records: Int
        /// Keys, values, headers and 256 bytes for each record.
        package var bytes: Int

        /// - Parameters:
        ///   - records: 10,000 by default.
        ///   - bytes: 32 MiB by default.
        package init(records: Int = 10_000, bytes: Int = 32 << 20) {
            self.records = records
            self.bytes = bytes
        }
    }

    private let client: ClientHandle
    private let topics = TopicHandles()
    private let outstanding: Outstanding

    /// Starts a producer; it connects by itself.
    ///
    /// - Throws: ``EventLogError`` with `badConfiguration`.
    package init(
        _ configuration: KafkaConfiguration, bounds: Bounds = Bounds(), logger: Logger
    ) throws(EventLogError) {
        let properties = ClientConfiguration(
            configuration, role: .producer,
            defaults: [
                // Long enough to fill a request while another is on its way, short enough not to be felt.
                "linger.ms": "0.5",
                "message.timeout.ms": "30000",
                // `Outstanding` decides; librdkafka's own bounds lie just above.
                "queue.buffering.max.messages": "\(bounds.records + 1)",
                "queue.buffering.max.kbytes": "\(bounds.bytes / 1024 + 8192)",
            ],
            fixed: ["enable.idempotence": "true"])
        let outstanding = Outstanding(bounds: bounds)
        self.outstanding = outstanding
        let servers = configuration.bootstrapServers
        client = try ClientHandle(
            properties, name: "\(configuration.clientID)/producer", logger: logger,
            onDelivery: { message in Producer.delivered(message, outstanding, servers) })
    }

    deinit {
        client.beginClosing(finally: finish(timeout: .zero))
    }

    /// Sends one record.
    ///
    /// - Returns: its offset, once all replicas have it.
    /// - Throws: ``EventLogError``: `queueFull` at once; `tooLarge`, `unknownTopic`; `timedOut` when it was certainly
    ///   not written within `message.timeout.ms` (30 s by default); `outcomeUnknown` when it may have been;
    ///   `fatal`: close this producer and make a new one; `closed`.
    package func send(_ record: ProducerRecord) async throws(EventLogError) -> Int64 {
        let outcome: Result<Int64, EventLogError> = await withCheckedContinuation { continuation in
            submit(record) { continuation.resume(returning: $0) }
        }
        return try outcome.get()
    }

    /// Sends records in this order without waiting between them.
    ///
    /// - Returns: for each record its offset or its error (see ``send(_:)->Int64``), once all are decided.
    package func send(_ records: [ProducerRecord]) async -> [Result<Int64, EventLogError>] {
        guard !records.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            let collector = Collector(count: records.count) { continuation.resume(returning: $0) }
            for (index, record) in records.enumerated() {
                submit(record) { collector.set(index, to: $0) }
            }
        }
    }

    /// Waits until everything outstanding is decided, then ends. What is not decided in time fails with `closed` or
    /// `outcomeUnknown`. Later sends fail with `closed`.
    ///
    /// - Parameter timeout: how long to wait for acknowledgements.
    package func close(timeout: Duration) async {
        await client.close(finally: finish(timeout: timeout))
    }

    private func finish(timeout: Duration) -> ClientHandle.Job {
        { [topics] handle in
            let milliseconds = Int32(clamping: max(0, timeout.wholeMilliseconds))
            // A flush serves the delivery reports itself.
            if rd_kafka_flush(handle, milliseconds) != RD_KAFKA_RESP_ERR_NO_ERROR {
                rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
                // The reports of what was just purged are all that is left: this ends by itself.
                while rd_kafka_flush(handle, 100) != RD_KAFKA_RESP_ERR_NO_ERROR {}
            }
            topics.destroyAll()
        }
    }

    private func submit(_ record: ProducerRecord, _ completion: @escaping Delivery.Completion) {
        let size = record.queueSize
        guard outstanding.reserve(size) else {
            completion(.failure(outstanding.full(client.name)))
            return
        }
        let delivery = Delivery(size: size, completion: completion)
        let opaque = Unmanaged.passRetained(delivery)
        do {
            let code = try client.use { record.produce(to: $0, topics: topics, opaque: opaque.toOpaque()) }
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
            opaque.release()
            outstanding.release(size)
            completion(.failure(refusal(of: record, code)))
        } catch {
            opaque.release()
            outstanding.release(size)
            completion(.failure(error))
        }
    }

    private func refusal(of record: ProducerRecord, _ code: rd_kafka_resp_err_t) -> EventLogError {
        let isFatal = code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__FENCED
        return EventLogError(code, record.description, kind: isFatal ? .fatal : nil, on: client)
    }

    /// Runs on the client's thread.
    private static func delivered(
        _ message: UnsafePointer<rd_kafka_message_t>, _ outstanding: Outstanding, _ bootstrapServers: String
    ) {
        guard let opaque = message.pointee._private else { return }
        let delivery = Unmanaged<Delivery>.fromOpaque(opaque).takeRetainedValue()
        outstanding.release(delivery.size)
        delivery.completion(outcome(of: message, bootstrapServers))
    }

    private static func outcome(
        of message: UnsafePointer<rd_kafka_message_t>, _ bootstrapServers: String
    ) -> Result<Int64, EventLogError> {
        let code = message.pointee.err
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return .success(message.pointee.offset) }
        let topic = String(cString: rd_kafka_topic_name(message.pointee.rkt))
        let context = "a record of \(message.pointee.len) bytes for \(topic)[\(message.pointee.partition)]"
        let mayBeWritten = rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED
        return .failure(
            EventLogError(
                code: code, context: context, kind: mayBeWritten ? .outcomeUnknown : nil,
                bootstrapServers: bootstrapServers))
    }
}

/// A record on its way; librdkafka carries it as the record's opaque pointer.
private final class Delivery: Sendable {
    typealias Completion = @Sendable (Result<Int64, EventLogError>) -> Void

    let size: Int
    let completion: Completion

    init(size: Int, completion: @escaping Completion) {
        self.size = size
        self.completion = completion
    }
}

/// Counts what is outstanding against the bounds.
private final class Outstanding: Sendable {
    private let bounds: Producer.Bounds
    private let used = Mutex((records: 0, bytes: 0))

    init(bounds: Producer.Bounds) {
        self.bounds = bounds
    }

    /// A single record that is larger than the bound is let through alone: `message.max.bytes` judges it.
    func reserve(_ size: Int) -> Bool {
        used.withLock { used in
            guard used.records < bounds.records, used.records == 0 || used.bytes + size <= bounds.bytes else {
                return false
            }
            used.records += 1
            used.bytes += size
            return true
        }
    }

    func release(_ size: Int) {
        used.withLock { used in
            used.records -= 1
            used.bytes -= size
        }
    }

    func full(_ name: String) -> EventLogError {
        let (records, bytes) = used.withLock { $0 }
        return EventLogError(
            kind: .queueFull, name: "_QUEUE_FULL",
            message: "\(name) has \(records) records of \(bytes) bytes outstanding; its bounds are "
                + "\(bounds.records) records and \(bounds.bytes) bytes",
            nextStep: "wait for what is outstanding")
    }
}

/// Gathers the results of a batch.
private final class Collector: Sendable {
    private struct State {
        var results: [Result<Int64, EventLogError>?]
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable ([Result<Int64, EventLogError>]) -> Void

    init(count: Int, completion: @escaping @Sendable ([Result<Int64, EventLogError>]) -> Void) {
        state = Mutex(State(results: Array(repeating: nil, count: count), missing: count))
        self.completion = completion
    }

    func set(_ index: Int, to result: Result<Int64, EventLogError>) {
        let complete = state.withLock { state -> [Result<Int64, EventLogError>]? in
            precondition(state.results[index] == nil, "record \(index) was decided twice")
            state.results[index] = result
            state.missing -= 1
            return state.missing == 0 ? state.results.map { $0! } : nil
        }
        if let complete { completion(complete) }
    }
}
