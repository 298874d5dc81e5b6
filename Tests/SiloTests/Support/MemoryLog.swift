import EventLog
import OrchestraCore
import Records
import Silo
import Synchronization

/// Clears rivals as a test wants it.
struct TestSuccession: Succession {
    var body: @Sendable (PartitionClaim) async -> Clearance?

    func clear(_ rival: PartitionClaim, of partition: Int32) async throws(EventLogError) -> Clearance? {
        await body(rival)
    }
}

/// Kafka as a value in memory, as far as a partition sees it: transactions with fencing, control markers, ends of
/// partitions, and faults on demand.
final class MemoryLog: Sendable {
    /// What happens to a commit instead of succeeding.
    enum Fault: Sendable {
        /// It succeeds.
        case none
        /// Nothing is written.
        case abort(name: String)
        /// Nothing is written, and the producer finds itself fenced.
        case fence
        /// Everything is written, but the producer is told that it was fenced.
        case commitThenFence
        /// Everything is written, but the answer is lost.
        case commitThenUnknown
        /// Nothing is written, and nobody knows.
        case dropThenUnknown
    }

    enum Entry: Sendable {
        case record(ProducerRecord)
        /// An aborted record or a control marker: takes an offset, is never delivered.
        case hidden
    }

    private struct State {
        var entries: [TopicPartition: [Entry]] = [:]
        var firstOffsets: [TopicPartition: Int64] = [:]
        /// By transactional id.
        var epochs: [String: Int] = [:]
        var faults: [Fault] = []
        /// Transactions that contain a record like this are aborted as too large.
        var poison: (@Sendable (ProducerRecord) -> Bool)?
        var commits: [TransactionBatch] = []
        var aborts = 0
        var isBlocked = false
        /// Before each step of a producer or reader: so that steps of different silos mix.
        var hesitation: (@Sendable () async -> Void)?
        var readers: [OneShot<Void>] = []
        var blocked: [OneShot<Void>] = []
        /// How often a changelog was opened.
        var changelogOpenings = 0
        /// Runs whenever somebody asks for the first and next offset of a partition, before the answer comes.
        var question: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// A producer, as a lane wants it.
    func makeProducer(_ transactionalID: String) -> any TransactionSink {
        Sink(log: self, transactionalID: transactionalID)
    }

    // MARK: The test's side

    var commits: [TransactionBatch] { state.withLock { $0.commits } }
    /// How many commits are being held back.
    var blockedCommits: Int { state.withLock { $0.isBlocked ? $0.blocked.count : 0 } }
    /// How often a transactional id was initialised.
    func epoch(of transactionalID: String) -> Int { state.withLock { $0.epochs[transactionalID, default: 0] } }
    var aborts: Int { state.withLock { $0.aborts } }
    func inject(_ faults: Fault...) { state.withLock { $0.faults += faults } }
    func setPoison(_ poison: (@Sendable (ProducerRecord) -> Bool)?) { state.withLock { $0.poison = poison } }

    /// Has every producer and reader wait before its steps.
    func setHesitation(_ hesitation: @escaping @Sendable () async -> Void) {
        state.withLock { $0.hesitation = hesitation }
    }

    private func hesitate() async { await state.withLock { $0.hesitation }?() }

    /// Holds commits back until it is released.
    func blockCommits(_ isBlocked: Bool) {
        let waiting = state.withLock { state in
            state.isBlocked = isBlocked
            defer { if !isBlocked { state.blocked = [] } }
            return isBlocked ? [] : state.blocked
        }
        for wait in waiting { wait.resolve(()) }
    }

    /// A foreign producer writes a record.
    @discardableResult
    func append(_ record: ProducerRecord) -> Int64 {
        let (offset, readers) = state.withLock { state in
            let place = TopicPartition(topic: record.topic, partition: record.partition)
            state.entries[place, default: []].append(.record(record))
            return (Int64(state.entries[place, default: []].count - 1), takeReaders(&state))
        }
        for reader in readers { reader.resolve(()) }
        return offset
    }

    /// A foreign transaction leaves its marker, or its aborted record.
    func appendHidden(_ topic: String, _ partition: Int32) {
        let readers = state.withLock { state in
            state.entries[TopicPartition(topic: topic, partition: partition), default: []].append(.hidden)
            return takeReaders(&state)
        }
        for reader in readers { reader.resolve(()) }
    }

    /// Another producer with a transactional id appears.
    func fence(_ transactionalID: String) { state.withLock { $0.epochs[transactionalID, default: 0] += 1 } }

    /// What fences every rival at once, whatever it is.
    var fencingSuccession: TestSuccession {
        TestSuccession { rival in
            await self.hesitate()
            self.fence(rival.transactionalId)
            return .fenced(answersUntil: .now)
        }
    }

    /// How often a changelog was opened.
    var changelogOpenings: Int { state.withLock { $0.changelogOpenings } }

    /// Has something happen whenever somebody asks where a partition ends, before the answer comes.
    func setQuestion(_ question: (@Sendable () -> Void)?) { state.withLock { $0.question = question } }

    /// Deletes a record as compaction does: its offset stays.
    func compactAway(_ topic: String, _ partition: Int32, at offset: Int64) {
        state.withLock { state in
            state.entries[TopicPartition(topic: topic, partition: partition)]?[Int(offset)] = .hidden
        }
    }

    /// Deletes what is below an offset, as retention does.
    func deleteRecords(_ topic: String, _ partition: Int32, below offset: Int64) {
        state.withLock { $0.firstOffsets[TopicPartition(topic: topic, partition: partition)] = offset }
    }

    /// The next offset of a partition.
    func end(_ place: TopicPartition) -> Int64 { range(place).high }

    func records(_ topic: String) -> [ProducerRecord] {
        state.withLock { state in
            state.entries.filter { $0.key.topic == topic }.sorted { $0.key < $1.key }
                .flatMap { $0.value }.compactMap { if case .record(let record) = $0 { record } else { nil } }
        }
    }

    // MARK: The partition's side

    /// - Parameter lane: what the partition commits through; `nil`: a producer of its own.
    func view(
        of partition: Int32, as transactionalID: String, lane: TransactionLane? = nil
    ) -> any PartitionLog {
        View(log: self, partition: partition, transactionalID: transactionalID, lane: lane)
    }

    /// Reads one partition from its beginning.
    func reader(of place: TopicPartition) -> any IntakeSource {
        Source(log: self, positions: [place: range(place).low])
    }

    private func takeReaders(_ state: inout State) -> [OneShot<Void>] {
        defer { state.readers = [] }
        return state.readers
    }

    private struct View: PartitionLog {
        let log: MemoryLog
        let partition: Int32
        let transactionalID: String
        let lane: TransactionLane?

        func makeTransactions() throws(EventLogError) -> any TransactionSink {
            lane?.makeSink() ?? log.makeProducer(transactionalID)
        }

        func openChangelog(at start: StartOffset) async throws(EventLogError) -> any IntakeSource {
            let place = TopicPartition(topic: Topics.state, partition: partition)
            let offset: Int64 = if case .offset(let offset) = start { offset } else { log.range(place).low }
            log.state.withLock { $0.changelogOpenings += 1 }
            return Source(log: log, positions: [place: offset])
        }

        func openInputs(at offsets: [String: Int64]) async throws(EventLogError) -> any IntakeSource {
            var positions: [TopicPartition: Int64] = [:]
            for (topic, offset) in offsets {
                positions[TopicPartition(topic: topic, partition: partition)] = offset
            }
            return Source(log: log, positions: positions)
        }

        func watermarks(of topic: String) async throws(EventLogError) -> (low: Int64, high: Int64) {
            await log.hesitate()
            let answer = log.range(TopicPartition(topic: topic, partition: partition))
            log.state.withLock { $0.question }?()
            return answer
        }
    }

    private func range(_ place: TopicPartition) -> (low: Int64, high: Int64) {
        state.withLock { ($0.firstOffsets[place, default: 0], Int64($0.entries[place, default: []].count)) }
    }

    private final class Sink: TransactionSink {
        let log: MemoryLog
        let transactionalID: String
        private let epoch = Mutex(0)

        init(log: MemoryLog, transactionalID: String) {
            self.log = log
            self.transactionalID = transactionalID
        }

        func initialize(timeout: Duration) async throws(EventLogError) {
            await log.hesitate()
            let next = log.state.withLock { state in
                state.epochs[transactionalID, default: 0] += 1
                return state.epochs[transactionalID, default: 0]
            }
            epoch.withLock { $0 = next }
        }

        func commit(_ batch: TransactionBatch) async throws(EventLogError) {
            let wait = log.state.withLock { state -> OneShot<Void>? in
                guard state.isBlocked else { return nil }
                let wait = OneShot<Void>()
                state.blocked.append(wait)
                return wait
            }
            await wait?.value(ifCancelled: ())
            await log.hesitate()
            let epoch = epoch.withLock { $0 }
            try log.commit(batch, as: transactionalID, epoch: epoch)
        }

        func close() async {}
    }

    private func commit(_ batch: TransactionBatch, as transactionalID: String, epoch: Int) throws(EventLogError) {
        let (error, readers) = state.withLock { state -> (EventLogError?, [OneShot<Void>]) in
            guard state.epochs[transactionalID, default: 0] == epoch else {
                return (EventLogError(kind: .fenced, name: "_FENCED", message: "fenced"), [])
            }
            if let poison = state.poison, batch.records.contains(where: poison) {
                write(batch, hidden: true, &state)
                return (
                    EventLogError(kind: .abortable, name: "MSG_SIZE_TOO_LARGE", message: "too large"),
                    takeReaders(&state)
                )
            }
            let fault = state.faults.isEmpty ? nil : state.faults.removeFirst()
            let error: EventLogError?
            switch fault {
            case nil, .some(.none):
                write(batch, hidden: false, &state)
                error = nil
            case .abort(let name):
                write(batch, hidden: true, &state)
                error = EventLogError(kind: .abortable, name: name, message: "aborted")
            case .fence:
                state.epochs[transactionalID, default: 0] += 1
                error = EventLogError(kind: .fenced, name: "_FENCED", message: "timed out")
            case .commitThenFence:
                write(batch, hidden: false, &state)
                state.epochs[transactionalID, default: 0] += 1
                error = EventLogError(kind: .fenced, name: "_FENCED", message: "timed out")
            case .commitThenUnknown:
                write(batch, hidden: false, &state)
                error = EventLogError(kind: .outcomeUnknown, name: "_TIMED_OUT", message: "no answer")
            case .dropThenUnknown:
                error = EventLogError(kind: .outcomeUnknown, name: "_TIMED_OUT", message: "no answer")
            }
            return (error, takeReaders(&state))
        }
        for reader in readers { reader.resolve(()) }
        if let error { throw error }
    }

    private func write(_ batch: TransactionBatch, hidden: Bool, _ state: inout State) {
        for record in batch.records {
            let place = TopicPartition(topic: record.topic, partition: record.partition)
            state.entries[place, default: []].append(hidden ? .hidden : .record(record))
        }
        for place in Set(batch.records.map { TopicPartition(topic: $0.topic, partition: $0.partition) }) {
            state.entries[place, default: []].append(.hidden)
        }
        if hidden { state.aborts += 1 } else { state.commits.append(batch) }
    }

    private final class Source: IntakeSource {
        let log: MemoryLog
        private let positions: Mutex<[TopicPartition: Int64]>
        private let ended = Mutex<[TopicPartition: Int64]>([:])

        init(log: MemoryLog, positions: [TopicPartition: Int64]) {
            self.log = log
            self.positions = Mutex(positions)
        }

        func next(maximumRecords: Int) async throws(EventLogError) -> [IntakeEvent] {
            while !Task.isCancelled {
                await log.hesitate()
                let (events, wait) = log.state.withLock { state in
                    let events = take(maximumRecords, state)
                    guard events.isEmpty else { return (events, nil as OneShot<Void>?) }
                    let wait = OneShot<Void>()
                    state.readers.append(wait)
                    return ([], wait)
                }
                if !events.isEmpty { return events }
                await wait?.value(ifCancelled: ())
            }
            throw EventLogError(kind: .closed, name: "_DESTROY", message: "cancelled")
        }

        private func take(_ maximum: Int, _ state: State) -> [IntakeEvent] {
            var events: [IntakeEvent] = []
            positions.withLock { positions in
                for place in positions.keys.sorted() {
                    let entries = state.entries[place, default: []]
                    while events.count < maximum, let next = positions[place], next < entries.count {
                        positions[place] = next + 1
                        guard case .record(let record) = entries[Int(next)] else { continue }
                        events.append(
                            .record(
                                ConsumedRecord(
                                    topicPartition: place, offset: next,
                                    timestamp: Timestamp(millisecondsSinceEpoch: 0), key: record.key,
                                    value: record.value, headers: record.headers)))
                    }
                    let position = positions[place] ?? 0
                    guard position == entries.count, ended.withLock({ $0[place] }) != position else { continue }
                    ended.withLock { $0[place] = position }
                    events.append(.endOfPartition(place, nextOffset: position))
                }
            }
            return events
        }

        func close() async {}
    }
}
