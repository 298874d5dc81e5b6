import EventLog
import Membership
import OrchestraCore
import Silo

/// A transactional producer of the model: what `TransactionalProducer` does, errors and all (`TransactionMachine` has
/// the rules), over requests that can be lost.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class ModelProducer: TransactionSink, @unchecked Sendable {
    private enum Phase { case created, ready, fenced, fatal, closed }

    private let kafka: ModelKafka
    private let host: VirtualHost
    private let id: String
    private var phase = Phase.created
    private var epoch = 0
    private var number = 0

    init(_ id: String, on host: VirtualHost, _ kafka: ModelKafka) {
        (self.id, self.host, self.kafka) = (id, host, kafka)
    }

    func initialize(timeout: Duration) async throws(EventLogError) {
        if phase == .ready { return }
        guard phase == .created else { throw refusal }
        let deadline = host.world.time + timeout.microseconds
        while host.world.time < deadline {
            let (id, host) = (id, host)
            let answer = await kafka.request(from: host, until: deadline) { $0.initialize(id, by: host) }
            guard let answer else { break }
            if let epoch = answer {
                guard phase == .created else { throw refusal }
                self.epoch = epoch
                phase = .ready
                return
            }
            try? await host.sleep(.milliseconds(20))
        }
        throw EventLogError(kind: host.isDead ? .closed : .timedOut, name: "_TIMED_OUT", message: "no initialisation")
    }

    func commit(_ batch: TransactionBatch) async throws(EventLogError) {
        guard !batch.records.isEmpty else { return }
        guard phase == .ready, !host.isDead else { throw refusal }
        number += 1
        let deadline = host.world.time + kafka.transactionTimeout
        // A transaction of several requests: others may do something in between.
        let half = kafka.world.happens(0.5) ? batch.records.count / 2 : 0
        for (part, records) in [batch.records[..<half], batch.records[half...]].enumerated() where !records.isEmpty {
            try await append(Array(records), part, deadline)
        }
        if kafka.world.happens(kafka.abortRate) { try await abort("_TIMED_OUT") }
        switch await end(commit: true, deadline) {
        case .done: return
        case .fenced:
            phase = .fenced
            throw EventLogError(kind: .outcomeUnknown, name: "_FENCED", message: "fenced while committing")
        default:
            phase = .fatal
            throw EventLogError(kind: .outcomeUnknown, name: "_TIMED_OUT", message: "no answer to a commit")
        }
    }

    func close() async { phase = .closed }

    private func append(_ records: [ProducerRecord], _ part: Int, _ deadline: Int64) async throws(EventLogError) {
        let (id, epoch, number) = (id, epoch, number)
        while true {
            let answer = await kafka.request(from: host, until: deadline) {
                $0.append(records, of: id, epoch: epoch, number: number, part: part)
            }
            switch answer {
            case .done: return
            case .fenced:
                phase = .fenced
                throw refusal
            case .busy: try? await host.sleep(.milliseconds(5))
            case nil: try await abort("_MSG_TIMED_OUT")
            }
            if host.isDead { throw refusal }
        }
    }

    private func abort(_ name: String) async throws(EventLogError) {
        switch await end(commit: false, host.world.time + kafka.transactionTimeout) {
        case .done: throw EventLogError(kind: .abortable, name: name, message: "aborted")
        case .fenced:
            phase = .fenced
            throw refusal
        default:
            phase = .fatal
            throw EventLogError(kind: .fatal, name: name, message: "no answer to an abort")
        }
    }

    private func end(commit: Bool, _ deadline: Int64) async -> ModelKafka.Answer? {
        let (id, epoch, number) = (id, epoch, number)
        return await kafka.request(from: host, until: deadline) {
            $0.end(id, epoch: epoch, number: number, commit: commit)
        }
    }

    private var refusal: EventLogError {
        switch phase {
        case _ where host.isDead: EventLogError(kind: .closed, name: "_DESTROY", message: "the process has ended")
        case .created, .ready: EventLogError(kind: .retriable, name: "_STATE", message: "not initialised")
        case .fenced: EventLogError(kind: .fenced, name: "_FENCED", message: "a newer producer has the id")
        case .fatal: EventLogError(kind: .fatal, name: "_FATAL", message: "the producer has failed")
        case .closed: EventLogError(kind: .closed, name: "_DESTROY", message: "the producer is closed")
        }
    }
}

/// A stream of records of the model.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class ModelIntake: IntakeSource, @unchecked Sendable {
    private struct Reading {
        let partition: ModelKafka.Partition
        var next: Int64
        /// The end that was told last.
        var toldEnd: Int64?
    }

    private let kafka: ModelKafka
    private let host: VirtualHost
    private let isCommitted: Bool
    private var readings: [Reading]
    private var isClosed = false
    private let onClose: () -> Void

    init(
        _ positions: [TopicPartition: Int64], isCommitted: Bool, on host: VirtualHost, _ kafka: ModelKafka,
        onClose: @escaping () -> Void = {}
    ) {
        (self.isCommitted, self.host, self.kafka) = (isCommitted, host, kafka)
        readings = positions.sorted { $0.key < $1.key }.map {
            Reading(partition: kafka.partition($0.key), next: $0.value)
        }
        self.onClose = onClose
    }

    func next(maximumRecords: Int) async throws(EventLogError) -> [IntakeEvent] {
        while !Task.isCancelled, !isClosed, !host.isDead {
            let events = kafka.reaches(host) ? take(maximumRecords) : []
            if !events.isEmpty { return events }
            let wait = Promise<Void>()
            for reading in readings { kafka.wait(wait, for: reading.partition, isCommitted: isCommitted) }
            await wait.value(ifCancelled: ())
        }
        throw EventLogError(kind: .closed, name: "_DESTROY", message: "closed")
    }

    private func take(_ maximum: Int) -> [IntakeEvent] {
        var events: [IntakeEvent] = []
        for index in readings.indices { take(maximum, from: &readings[index], &events) }
        return events
    }

    private func take(_ maximum: Int, from reading: inout Reading, _ events: inout [IntakeEvent]) {
        let partition = reading.partition
        let end = isCommitted ? partition.lastStable : partition.end
        while events.count < maximum, reading.next < end {
            if case .record(let record, let transaction) = partition.entries[Int(reading.next)], isVisible(transaction)
            {
                events.append(
                    .record(
                        ConsumedRecord(
                            topicPartition: partition.place, offset: reading.next,
                            timestamp: Timestamp(millisecondsSinceEpoch: 0), key: record.key, value: record.value,
                            headers: record.headers)))
            }
            reading.next += 1
        }
        guard reading.next >= end, reading.toldEnd != reading.next else { return }
        reading.toldEnd = reading.next
        events.append(.endOfPartition(partition.place, nextOffset: reading.next))
    }

    private func isVisible(_ transaction: ModelKafka.Transaction?) -> Bool {
        !isCommitted || transaction.map { $0.verdict == .committed } ?? true
    }

    func close() async {
        guard !isClosed else { return }
        isClosed = true
        onClose()
    }
}

/// All that a silo has of the model.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class ModelLog: SiloLog, @unchecked Sendable {
    private let kafka: ModelKafka
    private let host: VirtualHost
    private let partitionCount: Int32
    /// What is open can not be opened a second time; of changelogs and of inputs.
    private var open: Set<TopicPartition> = []

    init(_ kafka: ModelKafka, on host: VirtualHost, partitionCount: Int32) {
        (self.kafka, self.host, self.partitionCount) = (kafka, host, partitionCount)
    }

    func create(_ topics: [TopicSpecification]) async throws(EventLogError) {
        let answer: Bool? = await kafka.request(from: host, until: host.world.time + 5_000_000) { _ in true }
        if answer == nil { throw noAnswer }
    }

    func partitionCounts(of topics: [String]) async throws(EventLogError) -> [String: Int32] {
        var counts: [String: Int32] = [:]
        for topic in topics { counts[topic] = topic == Topics.silos ? 1 : partitionCount }
        return counts
    }

    /// Nothing is compacted.
    func configuration(of topic: String, _ names: Set<String>) async throws(EventLogError) -> [String: String] { [:] }

    func makeProducer(_ transactionalID: String) throws(EventLogError) -> any TransactionSink {
        ModelProducer(transactionalID, on: host, kafka)
    }

    func openHeartbeats() async throws(EventLogError) -> any IntakeSource {
        ModelIntake([TopicPartition(topic: Topics.silos, partition: 0): 0], isCommitted: false, on: host, kafka)
    }

    /// The group's offsets are for tools, of which there are none here.
    func commitOffsets(_ offsets: [TopicPartition: Int64]) async throws(EventLogError) {}

    func partition(_ partition: Int32, lane: TransactionLane) -> any PartitionLog {
        ModelPartitionLog(log: self, lane: lane, partition: partition)
    }

    func close() async {}

    fileprivate func open(_ positions: [TopicPartition: Int64]) throws(EventLogError) -> any IntakeSource {
        guard open.isDisjoint(with: positions.keys) else {
            throw EventLogError(
                kind: .retriable, name: "_CONFLICT", message: "open already: \(positions.keys.sorted())")
        }
        open.formUnion(positions.keys)
        return ModelIntake(positions, isCommitted: true, on: host, kafka) { [weak self] in
            self?.open.subtract(positions.keys)
        }
    }

    fileprivate func end(of place: TopicPartition) async throws(EventLogError) -> Int64 {
        let end = await kafka.request(from: host, until: host.world.time + 10_000_000) { $0.partition(place).end }
        guard let end else { throw noAnswer }
        return end
    }

    private var noAnswer: EventLogError {
        EventLogError(kind: host.isDead ? .closed : .timedOut, name: "_TIMED_OUT", message: "Kafka does not answer")
    }
}

private struct ModelPartitionLog: PartitionLog {
    let log: ModelLog
    let lane: TransactionLane
    let partition: Int32

    func makeTransactions() throws(EventLogError) -> any TransactionSink { lane.makeSink() }

    func openChangelog(at start: StartOffset) async throws(EventLogError) -> any IntakeSource {
        try log.open([TopicPartition(topic: Topics.state, partition: partition): 0])
    }

    func openInputs(at offsets: [String: Int64]) async throws(EventLogError) -> any IntakeSource {
        var positions: [TopicPartition: Int64] = [:]
        for (topic, offset) in offsets { positions[TopicPartition(topic: topic, partition: partition)] = offset }
        return try log.open(positions)
    }

    func watermarks(of topic: String) async throws(EventLogError) -> (low: Int64, high: Int64) {
        (0, try await log.end(of: TopicPartition(topic: topic, partition: partition)))
    }
}
