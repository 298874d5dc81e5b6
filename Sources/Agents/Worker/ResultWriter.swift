import Avro
import EventLog
import Logging
import OrchestraCore
import Records
import Synchronization

/// Publishes results and dead letters, and returns only when they are acknowledged.
///
/// While the broker is away it waits and repeats; a result that arrives twice counts once, because the workflow drops the
/// second. A producer that can no longer be used is replaced.
final class ResultWriter: Sendable {
    /// How much of a record's value a dead letter keeps: 16 KiB.
    static let maximumPayload = 16 << 10

    private let configuration: AgentWorkerConfiguration
    private let codec: RecordCodec
    private let resultPartitions: Int32
    private let letterPartitions: Int32
    private let logger: Logger
    private let producer: Mutex<Producer>

    /// - Throws: ``EventLogError`` with `badConfiguration`.
    init(
        _ configuration: AgentWorkerConfiguration, codec: RecordCodec, resultPartitions: Int32, letterPartitions: Int32,
        logger: Logger
    ) throws(EventLogError) {
        self.configuration = configuration
        self.codec = codec
        self.resultPartitions = resultPartitions
        self.letterPartitions = letterPartitions
        self.logger = logger
        producer = Mutex(try Producer(configuration.kafka, logger: logger))
    }

    /// Publishes a result and, if the task failed, its dead letter.
    func write(_ result: AgentResult, letter: DeadLetter?) async throws(TaskAbandoned) {
        var records = [record(of: result)]
        if let letter { records += self.record(of: letter, key: Array(result.workflowId.utf8)).map { [$0] } ?? [] }
        try await send(records)
    }

    /// Publishes the dead letter of a record that is no task.
    func write(_ letter: DeadLetter, key: [UInt8]?) async throws(TaskAbandoned) {
        guard let record = record(of: letter, key: key) else { return }
        try await send([record])
    }

    func close() async {
        await producer.withLock { $0 }.close(timeout: .seconds(5))
    }

    private func record(of result: AgentResult) -> ProducerRecord {
        let key = Array(result.workflowId.utf8)
        var bytes = encode(result)
        if bytes.count > configuration.maximumResultSize {
            bytes = encode(
                result.failed("the result has \(bytes.count) bytes, allowed are \(configuration.maximumResultSize)"))
        }
        return ProducerRecord(
            topic: configuration.resultsTopic, partition: partition(forKey: key, count: resultPartitions), key: key,
            value: bytes)
    }

    private func record(of letter: DeadLetter, key: [UInt8]?) -> ProducerRecord? {
        // A key too long for a grain could itself be as large as a record.
        let key = key.map { Array($0.prefix(GrainID.maximumKeyLength)) }
        let values = [
            ("orchestra.topic", letter.topic), ("orchestra.partition", "\(letter.partition)"),
            ("orchestra.offset", "\(letter.offset)"), ("orchestra.code", letter.code),
            ("orchestra.reason", letter.reason), ("orchestra.attempts", "\(letter.attempts)"),
            ("orchestra.node", letter.node),
        ]
        let place =
            key.map { partition(forKey: $0, count: letterPartitions) } ?? letter.partition % letterPartitions
        return ProducerRecord(
            topic: configuration.deadLettersTopic, partition: place, key: key, value: encode(letter),
            headers: values.map { RecordHeader(name: $0.0, value: Array($0.1.utf8)) })
    }

    private func encode(_ record: some AvroRecord) -> [UInt8] {
        do {
            return try codec.encode(record)
        } catch {
            // The worker registers these types before it takes its first record.
            preconditionFailure("\(type(of: record).avroName) cannot be encoded: \(error)")
        }
    }

    /// Returns when all records are acknowledged.
    private func send(_ records: [ProducerRecord]) async throws(TaskAbandoned) {
        var pending = records
        var backoff = Backoff()
        while true {
            let producer = producer.withLock { $0 }
            let outcomes = await producer.send(pending)
            var failed: [ProducerRecord] = []
            for (record, outcome) in zip(pending, outcomes) {
                guard case .failure(let error) = outcome else { continue }
                if let record = recordToRepeat(record, after: error, on: producer) { failed.append(record) }
            }
            guard !failed.isEmpty else { return }
            pending = failed
            try await backoff.wait()
        }
    }

    /// - Returns: what to send instead; `nil` for a record that can never be written.
    private func recordToRepeat(
        _ record: ProducerRecord, after error: EventLogError, on broken: Producer
    ) -> ProducerRecord? {
        logger.warning("a result was not written", metadata: ["topic": "\(record.topic)", "error": "\(error)"])
        switch error.kind {
        case .tooLarge:
            // Our own limit lies below the topic's, unless someone has lowered that.
            guard record.topic == configuration.resultsTopic, let value = record.value,
                let result = try? codec.decodeIfKnown(AgentResult.self, from: value), result.outcome == .succeeded
            else {
                logger.error("a record is too large for its topic and was dropped", metadata: ["error": "\(error)"])
                return nil
            }
            var small = record
            small.value = encode(result.failed("the result is larger than topic \(record.topic) allows"))
            return small
        case .fatal, .fenced, .closed:
            replace(broken)
            return record
        default:
            return record
        }
    }

    private func replace(_ broken: Producer) {
        producer.withLock { producer in
            guard producer === broken else { return }
            do {
                producer = try Producer(configuration.kafka, logger: logger)
            } catch {
                logger.error("a new producer could not be made", metadata: ["error": "\(error)"])
            }
        }
    }
}

extension AgentResult {
    /// The same task, failed: without outputs, so that it is small.
    fileprivate func failed(_ reason: String) -> AgentResult {
        var result = self
        result.outcome = .failed
        result.output = ""
        result.functions = []
        result.error = reason
        return result
    }
}
