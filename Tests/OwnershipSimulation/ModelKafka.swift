import EventLog
import Membership
import Records
import Silo

/// Kafka as the silos see it, as far as transactions go: for each transactional id an epoch, at most one open
/// transaction, its markers, and for each partition the last stable offset. It is a model of the brokers alone; clients
/// reach it by requests that take time and can be lost on both ways (``request(from:until:_:)``).
///
/// As in Kafka, a commit is decided first, and its markers reach the partitions later, one by one: until then readers of
/// committed records stop before the transaction, and the transactional id can begin nothing.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class ModelKafka: @unchecked Sendable {
    enum Verdict { case open, committed, aborted }

    final class Transaction {
        let producer: String
        let epoch: Int
        /// The client's count of its transactions, to recognise a repeated request.
        let number: Int
        fileprivate(set) var verdict = Verdict.open
        /// The parts that have been appended.
        fileprivate var parts: Set<Int> = []
        /// The partitions without a marker yet.
        fileprivate var unmarked: [Partition] = []

        fileprivate init(producer: String, epoch: Int, number: Int) {
            (self.producer, self.epoch, self.number) = (producer, epoch, number)
        }
    }

    enum Entry {
        case record(ProducerRecord, Transaction?)
        case marker
    }

    final class Partition {
        let place: TopicPartition
        fileprivate(set) var entries: [Entry] = []
        /// The transactions that have no marker here, with their first offsets.
        fileprivate var unstable: [(transaction: Transaction, offset: Int64)] = []
        /// Who waits for committed records, and who for any.
        fileprivate var committedReaders: [Promise<Void>] = []
        fileprivate var readers: [Promise<Void>] = []

        fileprivate init(_ place: TopicPartition) { self.place = place }

        var end: Int64 { Int64(entries.count) }
        /// They began in the order of their offsets.
        var lastStable: Int64 { unstable.first?.offset ?? end }
    }

    struct Producer {
        var epoch = 0
        /// The transaction that is open or whose markers are under way.
        var transaction: Transaction?
        /// The client's number and the fate of the last one that ended.
        var last: (number: Int, isCommitted: Bool)?
    }

    enum Answer: Equatable {
        case done, fenced
        /// Ask again: the last transaction's markers are under way.
        case busy
    }

    let world: VirtualWorld
    private var partitions: [TopicPartition: Partition] = [:]
    private var producers: [String: Producer] = [:]
    private var decisions: UInt64 = 0
    /// After this the broker aborts a transaction that does not end, in microseconds.
    var transactionTimeout: Int64 = 10_000_000
    /// Nobody is answered.
    var isDown = false
    var extraLatency: Int64 = 0
    /// How many transactions of clients are aborted for no reason of theirs, and how many answers are lost.
    var abortRate = 0.0
    var lossRate = 0.0
    /// How often a transactional id was initialised.
    private(set) var initializations = 0
    /// When each transactional id has written heartbeats of late.
    private(set) var heartbeats: [String: [Int64]] = [:]
    /// Told when somebody initialises a transactional id.
    var onInitialize: ((String, VirtualHost) -> Void)?
    /// Told when a partition's committed part has grown.
    var onStable: ((Partition) -> Void)?

    init(in world: VirtualWorld) { self.world = world }

    func partition(_ place: TopicPartition) -> Partition {
        if let partition = partitions[place] { return partition }
        let partition = Partition(place)
        partitions[place] = partition
        return partition
    }

    // MARK: Requests

    func reaches(_ host: VirtualHost) -> Bool { !isDown && !host.isCutFromKafka }

    private var latency: Int64 {
        extraLatency + (world.happens(0.01) ? world.between(1_000, 300_000) : world.between(200, 3_000))
    }

    /// Has the brokers do something, at once and undivided, and tells the outcome; asks again when no answer comes.
    ///
    /// - Parameter deadline: of the world's time.
    /// - Returns: `nil` if no answer has come by then: it may have been done all the same.
    func request<Result: Sendable>(
        from host: VirtualHost, until deadline: Int64, _ serve: @escaping (ModelKafka) -> Result
    ) async -> Result? {
        while !host.isDead {
            if let result = await attempt(from: host, serve) { return result }
            guard world.time < deadline else { return nil }
            try? await host.sleep(.milliseconds(100))
        }
        return nil
    }

    private func attempt<Result: Sendable>(
        from host: VirtualHost, _ serve: @escaping (ModelKafka) -> Result
    ) async -> Result? {
        await withCheckedContinuation { (continuation: CheckedContinuation<Result?, Never>) in
            let giveUp: () -> Void = { [world] in world.after(300_000) { continuation.resume(returning: nil) } }
            guard reaches(host) else { return giveUp() }
            world.after(latency) { [self] in
                guard reaches(host) else { return giveUp() }
                let result = serve(self)
                guard !world.happens(lossRate) else { return giveUp() }
                world.after(latency) { [self] in
                    if reaches(host) { continuation.resume(returning: result) } else { giveUp() }
                }
            }
        }
    }

    // MARK: Transactions

    /// InitProducerId.
    ///
    /// - Returns: the epoch; `nil` to ask again.
    func initialize(_ id: String, by host: VirtualHost) -> Int? {
        onInitialize?(id, host)
        var producer = producers[id] ?? Producer()
        if let transaction = producer.transaction {
            guard transaction.verdict == .open else { return nil }
            // Whoever had it is fenced at once; the new epoch begins when the markers are there.
            producer.epoch += 1
            producers[id] = producer
            decide(transaction, commit: false)
            return nil
        }
        producer.epoch += 1
        producer.last = nil
        producers[id] = producer
        initializations += 1
        world.log("\(id) has epoch \(producer.epoch)")
        world.mark(UInt64(producer.epoch) << 8 | 1)
        return producer.epoch
    }

    /// AddPartitionsToTxn and Produce.
    func append(_ records: [ProducerRecord], of id: String, epoch: Int, number: Int, part: Int) -> Answer {
        guard let producer = producers[id], producer.epoch == epoch else { return .fenced }
        let transaction: Transaction
        if let present = producer.transaction {
            guard present.verdict == .open, present.number == number else { return .busy }
            transaction = present
        } else {
            transaction = Transaction(producer: id, epoch: epoch, number: number)
            producers[id]?.transaction = transaction
            world.after(transactionTimeout) { [weak self] in self?.expire(transaction) }
        }
        guard transaction.parts.insert(part).inserted else { return .done }
        for record in records { write(record, transaction) }
        if records.contains(where: { $0.topic == Topics.silos }) {
            heartbeats[id] = heartbeats[id, default: []].suffix(20) + [world.time]
        }
        return .done
    }

    private func write(_ record: ProducerRecord, _ transaction: Transaction) {
        let partition = partition(TopicPartition(topic: record.topic, partition: record.partition))
        if !transaction.unmarked.contains(where: { $0 === partition }) {
            transaction.unmarked.append(partition)
            partition.unstable.append((transaction, partition.end))
        }
        partition.entries.append(.record(record, transaction))
        wake(&partition.readers)
    }

    /// EndTxn.
    func end(_ id: String, epoch: Int, number: Int, commit: Bool) -> Answer {
        guard let producer = producers[id], producer.epoch == epoch else { return .fenced }
        guard let transaction = producer.transaction, transaction.number == number else {
            // Ended before, and the answer was lost; or nothing was ever written.
            return producer.last?.number == number && producer.last?.isCommitted != commit ? .fenced : .done
        }
        if transaction.verdict == .open { decide(transaction, commit: commit) }
        return .done
    }

    private func expire(_ transaction: Transaction) {
        guard transaction.verdict == .open else { return }
        world.log("\(transaction.producer)'s transaction has timed out")
        producers[transaction.producer]?.epoch += 1
        decide(transaction, commit: false)
    }

    private func decide(_ transaction: Transaction, commit: Bool) {
        transaction.verdict = commit ? .committed : .aborted
        decisions += 1
        world.mark(decisions << 8 | (commit ? 2 : 3))
        world.log(
            "\(transaction.producer)/\(transaction.epoch) \(commit ? "commits" : "aborts") to \(transaction.unmarked.count)"
        )
        if transaction.unmarked.isEmpty { return finish(transaction) }
        for partition in transaction.unmarked {
            let delay = world.happens(0.02) ? world.between(0, 500_000) : world.between(0, 3_000)
            world.after(delay) { [weak self] in self?.mark(partition, transaction) }
        }
    }

    private func mark(_ partition: Partition, _ transaction: Transaction) {
        partition.entries.append(.marker)
        partition.unstable.removeAll { $0.transaction === transaction }
        transaction.unmarked.removeAll { $0 === partition }
        onStable?(partition)
        wakeReaders(of: partition)
        if transaction.unmarked.isEmpty { finish(transaction) }
    }

    private func finish(_ transaction: Transaction) {
        producers[transaction.producer]?.transaction = nil
        producers[transaction.producer]?.last = (transaction.number, transaction.verdict == .committed)
    }

    // MARK: Others

    /// A producer without transactions writes a record.
    ///
    /// - Returns: its offset.
    func append(_ record: ProducerRecord) -> Int64 {
        let partition = partition(TopicPartition(topic: record.topic, partition: record.partition))
        partition.entries.append(.record(record, nil))
        onStable?(partition)
        wakeReaders(of: partition)
        return partition.end - 1
    }

    func wait(_ promise: Promise<Void>, for partition: Partition, isCommitted: Bool) {
        if isCommitted { partition.committedReaders.append(promise) } else { partition.readers.append(promise) }
    }

    /// Readers that could not reach the brokers look again.
    func wakeAllReaders() { for place in partitions.keys.sorted() { wakeReaders(of: partition(place)) } }

    private func wakeReaders(of partition: Partition) {
        wake(&partition.committedReaders)
        wake(&partition.readers)
    }

    private func wake(_ readers: inout [Promise<Void>]) {
        guard !readers.isEmpty else { return }
        let woken = readers
        readers = []
        world.after(world.between(200, 2_000)) { for reader in woken { reader.resolve(()) } }
    }
}
