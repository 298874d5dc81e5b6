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

    struct Transaction {
        var producer: String
        var epoch: Int
        /// The client's count of its transactions, to recognise a repeated request.
        var number: Int
        var verdict = Verdict.open
        /// The parts that have been appended.
        var parts: Set<Int> = []
        /// The partitions without a marker yet, with their first offsets.
        var unmarked: [TopicPartition: Int64] = [:]
    }

    enum Entry {
        case record(ProducerRecord, transaction: Int?)
        case marker
    }

    struct Partition {
        var entries: [Entry] = []
        /// The first offsets of the transactions that have no marker here.
        var unstable: [Int: Int64] = [:]
        var readers: [OneShot<Void>] = []
        var end: Int64 { Int64(entries.count) }
        var lastStable: Int64 { unstable.values.min() ?? end }
    }

    struct Producer {
        var epoch = 0
        /// The transaction that is open or whose markers are under way.
        var transaction: Int?
        /// The client's number and the fate of the last one that ended.
        var last: (number: Int, isCommitted: Bool)?
    }

    enum Answer: Equatable {
        case done, fenced
        /// Ask again: the last transaction's markers are under way.
        case busy
    }

    let world: VirtualWorld
    private(set) var partitions: [TopicPartition: Partition] = [:]
    private(set) var transactions: [Int: Transaction] = [:]
    private(set) var producers: [String: Producer] = [:]
    private var lastTransaction = 0
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
    var onStable: ((TopicPartition, ModelKafka) -> Void)?

    init(in world: VirtualWorld) { self.world = world }

    func partition(_ place: TopicPartition) -> Partition { partitions[place] ?? Partition() }

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
        if let number = producer.transaction {
            guard transactions[number]?.verdict == .open else { return nil }
            // Whoever had it is fenced at once; the new epoch begins when the markers are there.
            producer.epoch += 1
            producers[id] = producer
            decide(number, commit: false)
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
        guard var producer = producers[id], producer.epoch == epoch else { return .fenced }
        let key: Int
        if let present = producer.transaction {
            guard let transaction = transactions[present], transaction.verdict == .open, transaction.number == number
            else { return .busy }
            key = present
        } else {
            lastTransaction += 1
            key = lastTransaction
            transactions[key] = Transaction(producer: id, epoch: epoch, number: number)
            producer.transaction = key
            producers[id] = producer
            world.after(transactionTimeout) { [weak self] in self?.expire(key) }
        }
        guard transactions[key]?.parts.insert(part).inserted == true else { return .done }
        for record in records { write(record, key) }
        if records.contains(where: { $0.topic == Topics.silos }) {
            heartbeats[id] = heartbeats[id, default: []].suffix(20) + [world.time]
        }
        return .done
    }

    private func write(_ record: ProducerRecord, _ key: Int) {
        let place = TopicPartition(topic: record.topic, partition: record.partition)
        let offset = partitions[place, default: Partition()].end
        partitions[place, default: Partition()].entries.append(.record(record, transaction: key))
        if transactions[key]?.unmarked[place] == nil {
            transactions[key]?.unmarked[place] = offset
            partitions[place]?.unstable[key] = offset
        }
        wakeReaders(place)
    }

    /// EndTxn.
    func end(_ id: String, epoch: Int, number: Int, commit: Bool) -> Answer {
        guard let producer = producers[id], producer.epoch == epoch else { return .fenced }
        guard let key = producer.transaction, let transaction = transactions[key], transaction.number == number else {
            // Ended before, and the answer was lost; or nothing was ever written.
            return producer.last?.number == number && producer.last?.isCommitted != commit ? .fenced : .done
        }
        if transaction.verdict == .open { decide(key, commit: commit) }
        return .done
    }

    private func expire(_ key: Int) {
        guard let transaction = transactions[key], transaction.verdict == .open else { return }
        world.log("\(transaction.producer)'s transaction has timed out")
        producers[transaction.producer]?.epoch += 1
        decide(key, commit: false)
    }

    private func decide(_ key: Int, commit: Bool) {
        guard var transaction = transactions[key] else { return }
        transaction.verdict = commit ? .committed : .aborted
        transactions[key] = transaction
        world.mark(UInt64(key) << 8 | (commit ? 2 : 3))
        world.log(
            "\(transaction.producer)/\(transaction.epoch) \(commit ? "commits" : "aborts") to \(transaction.unmarked.count)"
        )
        if transaction.unmarked.isEmpty { return finish(key) }
        for place in transaction.unmarked.keys.sorted() {
            let delay = world.happens(0.02) ? world.between(0, 500_000) : world.between(0, 3_000)
            world.after(delay) { [weak self] in self?.mark(place, key) }
        }
    }

    private func mark(_ place: TopicPartition, _ key: Int) {
        partitions[place]?.entries.append(.marker)
        partitions[place]?.unstable[key] = nil
        transactions[key]?.unmarked[place] = nil
        onStable?(place, self)
        wakeReaders(place)
        if transactions[key]?.unmarked.isEmpty == true { finish(key) }
    }

    private func finish(_ key: Int) {
        guard let transaction = transactions[key] else { return }
        producers[transaction.producer]?.transaction = nil
        producers[transaction.producer]?.last = (transaction.number, transaction.verdict == .committed)
    }

    // MARK: Others

    /// A producer without transactions writes a record.
    ///
    /// - Returns: its offset.
    func append(_ record: ProducerRecord) -> Int64 {
        let place = TopicPartition(topic: record.topic, partition: record.partition)
        partitions[place, default: Partition()].entries.append(.record(record, transaction: nil))
        onStable?(place, self)
        wakeReaders(place)
        return partition(place).end - 1
    }

    func wait(_ wait: OneShot<Void>, for places: [TopicPartition]) {
        for place in places { partitions[place, default: Partition()].readers.append(wait) }
    }

    /// Readers that could not reach the brokers look again.
    func wakeAllReaders() { for place in partitions.keys.sorted() { wakeReaders(place) } }

    private func wakeReaders(_ place: TopicPartition) {
        guard let readers = partitions[place]?.readers, !readers.isEmpty else { return }
        partitions[place]?.readers = []
        world.after(world.between(200, 2_000)) { for reader in readers { reader.resolve(()) } }
    }
}
