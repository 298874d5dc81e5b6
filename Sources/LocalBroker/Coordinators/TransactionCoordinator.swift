import OrchestraCore

/// Who may use which transactional id, and what the transaction of each id touches.
///
/// A value type without I/O, after `TransactionCoordinator` and `TransactionMetadata` of Apache Kafka 3.x. Deviations:
/// - The only broker writes markers and states in one SQLite transaction, so Kafka's intermediate states (prepareCommit,
///   prepareAbort, prepareEpochFence) and their answer CONCURRENT_TRANSACTIONS do not exist: InitProducerId on an
///   open transaction aborts it and answers at once, with the epoch that Kafka's second attempt would give.
/// - InitProducerId with an identity compares the epoch before it aborts anything. Kafka compares it only
///   afterwards, so that a zombie's automatic bump aborts its successor's transaction.
/// - A transactional batch is refused unless its partition was added (Kafka: since KIP-890).
/// - What AddPartitionsToTxn and AddOffsetsToTxn add is answered before it is stored, so that a broker that is killed may
///   forget it. In the first transaction that a producer ends after a restart, what uses an addition makes it again;
///   see ``readmit(transactionalID:producer:partition:now:)``.
struct TransactionCoordinator: Sendable {
    struct Configuration: Sendable {
        /// `transaction.max.timeout.ms`.
        var maximumTimeout: Duration = .seconds(15 * 60)
        /// `transactional.id.expiration.ms`: an id without a transaction is forgotten after this.
        var idExpiration: Duration = .seconds(7 * 24 * 3600)
        /// How many transactional ids there may be; more are refused with POLICY_VIOLATION.
        var maximumTransactionalIDs = 100_000
        /// The longest transactional id, and name of a group in a transaction, in bytes.
        var maximumNameBytes = 1024
        /// How many groups may have offsets in one transaction; more are refused with POLICY_VIOLATION.
        var maximumGroups = 1000
    }

    struct InitProducerIDRequest: Sendable {
        /// nil for an idempotent producer without transactions.
        var transactionalID: String?
        var transactionTimeout: Duration
        /// The identity that the producer believes to have (v3 and later); ``ProducerIdentity/none`` otherwise.
        var current: ProducerIdentity = .none
        var apiVersion: Int16

        var timeoutMilliseconds: Int32 { Int32(clamping: transactionTimeout.wholeMilliseconds) }
    }

    let configuration: Configuration
    private(set) var transactions: [String: TransactionRow] = [:]
    private(set) var nextProducerID: Int64
    /// When ``expire(now:)`` has something to do next; it may be too early (the transaction has ended), never too late.
    private(set) var nextDeadline: Timestamp?
    /// When the rows were read back; nil if this coordinator began without any.
    private let restoredAt: Timestamp?
    /// Ids whose transaction may lack additions that were answered before the restart. An id leaves when its producer
    /// has ended a transaction or has another epoch: what comes later was added in this life, or is too late.
    private var unsettled: Set<String> = []

    /// - Parameters:
    ///   - transactions: every stored row.
    ///   - nextProducerID: the last value that ``TransactionDirective/saveNextProducerID(_:)`` stored, else 0.
    ///   - now: when the rows were read. What is stored with a later time happened now: the clock was set back since,
    ///     and a transaction must not stay open until it has caught up. Without it nothing was lost, either.
    init(
        configuration: Configuration = Configuration(), transactions: [TransactionRow] = [], nextProducerID: Int64 = 0,
        now: Timestamp? = nil
    ) {
        self.configuration = configuration
        self.nextProducerID = nextProducerID
        restoredAt = now
        if now != nil { unsettled = Set(transactions.map(\.transactionalID)) }
        for var row in transactions {
            if let now {
                row.startedAt = row.startedAt.map { min($0, now) }
                row.lastUpdate = min(row.lastUpdate, now)
            }
            self.transactions[row.transactionalID] = row
            self.nextProducerID = max(self.nextProducerID, row.producerID + 1)
            noteDeadline(of: row)
        }
    }

    /// InitProducerId: hands out an identity and fences every earlier one of the transactional id; an open transaction
    /// is aborted first (``TransactionDirective/finish(_:)`` precedes the persisted row).
    mutating func initProducerID(
        _ request: InitProducerIDRequest, now: Timestamp
    ) -> Decision<Result<ProducerIdentity, KafkaErrorCode>, TransactionDirective> {
        guard let transactionalID = request.transactionalID else {
            let producer = ProducerIdentity(producerID: allocateProducerID(), epoch: 0)
            return Decision(.success(producer), [.saveNextProducerID(nextProducerID)])
        }
        let hasCurrent = request.current.producerID >= 0
        guard isName(transactionalID), hasCurrent == (request.current.epoch >= 0) else {
            return Decision(.failure(.invalidRequest))
        }
        guard request.transactionTimeout > .zero, request.transactionTimeout <= configuration.maximumTimeout else {
            return Decision(.failure(.invalidTransactionTimeout))
        }
        guard var row = transactions[transactionalID] else {
            guard transactions.count < configuration.maximumTransactionalIDs else {
                return Decision(.failure(.policyViolation))
            }
            return register(transactionalID, request: request, now: now)
        }

        let claimed = hasCurrent ? request.current : nil
        guard let claim = Self.judge(claimed, against: row) else {
            let error: KafkaErrorCode = request.apiVersion >= 4 ? .producerFenced : .invalidProducerEpoch
            return Decision(.failure(error))
        }
        var directives: [TransactionDirective] = []
        if row.state == .ongoing {
            directives.append(.finish(abortAndFence(&row)))
        }
        switch claim {
        case .repetition:
            break
        case .takeover, .continuation:
            let previous = claim == .continuation ? request.current : .none
            if row.epoch >= Self.lastUsableEpoch {
                row.producerID = allocateProducerID()
                row.epoch = 0
                directives.append(.saveNextProducerID(nextProducerID))
            } else {
                row.epoch += 1
            }
            row.previous = previous
        }
        row.state = .empty
        row.timeoutMilliseconds = request.timeoutMilliseconds
        unsettled.remove(transactionalID)
        store(&row, now: now, in: &directives)
        return Decision(.success(row.identity), directives)
    }

    /// AddPartitionsToTxn (v0 to v3): the error is the same for all partitions. The shell has checked that the topics
    /// exist; if one does not, it answers OPERATION_NOT_ATTEMPTED for the others and does not call this.
    mutating func addPartitions(
        transactionalID: String, producer: ProducerIdentity, partitions: [TopicPartition], apiVersion: Int16,
        now: Timestamp
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        extend(transactionalID, producer: producer, apiVersion: apiVersion, now: now) { row in
            Self.add(partitions, to: &row)
        }
    }

    /// AddOffsetsToTxn.
    mutating func addOffsets(
        transactionalID: String, producer: ProducerIdentity, groupID: String, apiVersion: Int16, now: Timestamp
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        guard isName(groupID) else { return Decision(.invalidGroupID) }
        let limit = configuration.maximumGroups
        return extend(transactionalID, producer: producer, apiVersion: apiVersion, now: now) { row in
            Self.add(groupID, to: &row, limit: limit)
        }
    }

    /// May this producer write a transactional batch to this partition now? To be asked before the partition's ledger.
    func verifyProduce(
        transactionalID: String?, producer: ProducerIdentity, partition: TopicPartition
    ) -> KafkaErrorCode {
        guard let transactionalID else { return .invalidTransactionState }
        return verify(transactionalID, producer) { $0.partitions.contains(partition) }
    }

    /// May this producer add offsets of this group to its transaction now (TxnOffsetCommit)?
    func verifyOffsetCommit(
        transactionalID: String, producer: ProducerIdentity, groupID: String
    ) -> KafkaErrorCode {
        verify(transactionalID, producer) { $0.groups.contains(groupID) }
    }

    /// EndTxn. Repeating the outcome that the last transaction had succeeds, so a client may repeat the request.
    ///
    /// A transaction of which nothing but the additions was answered before a restart is unknown now, and ends as its
    /// producer wants if it was the first under its epoch. If another one came before, it ends only as that one did:
    /// a producer that did not get the answer to its commit, and aborts, must not be told that it has aborted.
    mutating func end(
        transactionalID: String, producer: ProducerIdentity, outcome: TransactionOutcome, apiVersion: Int16,
        now: Timestamp
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        guard !transactionalID.isEmpty else { return Decision(.invalidRequest) }
        guard var row = transactions[transactionalID], row.producerID == producer.producerID else {
            return Decision(.invalidProducerIDMapping)
        }
        guard row.epoch == producer.epoch else { return Decision(Self.fenced(apiVersion)) }
        switch row.state {
        case .empty where !mayLackAdditions(row, now: now): return Decision(.invalidTransactionState)
        case .completeCommit where outcome == .abort: return Decision(.invalidTransactionState)
        case .completeAbort where outcome == .commit: return Decision(.invalidTransactionState)
        case .completeCommit, .completeAbort:
            unsettled.remove(transactionalID)
            return Decision(.none)
        case .empty, .ongoing: break
        }
        unsettled.remove(transactionalID)
        var directives: [TransactionDirective] = [.finish(Self.close(&row, outcome: outcome))]
        store(&row, now: now, in: &directives)
        return Decision(.none, directives)
    }

    /// Aborts transactions that ran longer than their time-out (their producers are fenced by a higher epoch) and
    /// forgets ids that were not used for the configured time. After a restart the shell calls it once, at once.
    mutating func expire(now: Timestamp) -> [TransactionDirective] {
        guard let nextDeadline, now >= nextDeadline else { return [] }
        self.nextDeadline = nil
        var directives: [TransactionDirective] = []
        for transactionalID in transactions.keys.sorted() {
            guard var row = transactions[transactionalID] else { continue }
            if let deadline = row.deadline, deadline <= now {
                directives.append(.finish(abortAndFence(&row)))
                unsettled.remove(transactionalID)
                store(&row, now: now, in: &directives)
            } else if row.state != .ongoing, row.lastUpdate.advanced(by: configuration.idExpiration) <= now {
                transactions[transactionalID] = nil
                unsettled.remove(transactionalID)
                directives.append(.remove(transactionalID: transactionalID))
            } else {
                noteDeadline(of: row)
            }
        }
        return directives
    }

    /// Removes a deleted topic's partitions from open transactions.
    mutating func forget(topic: String) -> [TransactionDirective] {
        var directives: [TransactionDirective] = []
        for transactionalID in transactions.keys.sorted() {
            guard var row = transactions[transactionalID], row.partitions.contains(where: { $0.topic == topic })
            else { continue }
            row.partitions.removeAll { $0.topic == topic }
            transactions[transactionalID] = row
            directives.append(.persist(row))
        }
        return directives
    }
}

// MARK: - After a restart

// An addition that was answered and lost is no more than a permission that nobody has used: what uses it is stored with
// it. So the producer that has the epoch may use it all the same, as Apache Kafka lets newer producers add partitions by
// writing to them (KIP-890). What is late from an earlier transaction cannot pass for that: it would have to come over a
// connection of this life, after the end of its transaction, and with that end the permission ceases.

extension TransactionCoordinator {
    /// Takes a partition into the open transaction if it may have been added before the restart. To be asked when
    /// ``verifyProduce(transactionalID:producer:partition:)`` finds that it was not added, and the batch is in order.
    mutating func readmit(
        transactionalID: String?, producer: ProducerIdentity, partition: TopicPartition, now: Timestamp
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        readmit(transactionalID, producer, now: now) { row in Self.add([partition], to: &row) }
    }

    /// Takes a group into the open transaction if it may have been added before the restart. To be asked when
    /// ``verifyOffsetCommit(transactionalID:producer:groupID:)`` finds that it was not added.
    mutating func readmit(
        transactionalID: String, producer: ProducerIdentity, groupID: String, now: Timestamp
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        guard isName(groupID) else { return Decision(.invalidGroupID) }
        let limit = configuration.maximumGroups
        return readmit(transactionalID, producer, now: now) { row in Self.add(groupID, to: &row, limit: limit) }
    }

    private mutating func readmit(
        _ transactionalID: String?, _ producer: ProducerIdentity, now: Timestamp,
        add: (inout TransactionRow) -> KafkaErrorCode
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        guard let restoredAt, let row = transactionalID.flatMap({ transactions[$0] }), row.identity == producer,
            mayLackAdditions(row, now: now)
        else { return Decision(.invalidTransactionState) }
        // It began before the restart.
        return extend(row, startedAt: restoredAt, now: now, add: add)
    }

    /// Whether the transaction may have had more than is known. Once its time-out has passed since the restart, it would
    /// have been aborted if nothing had been lost.
    private func mayLackAdditions(_ row: TransactionRow, now: Timestamp) -> Bool {
        guard let restoredAt, unsettled.contains(row.transactionalID) else { return false }
        return now < restoredAt.advanced(by: .milliseconds(Int64(row.timeoutMilliseconds)))
    }
}

// MARK: - Rules

extension TransactionCoordinator {
    /// `Int16.max` is kept for the fencing abort of the last usable epoch.
    static let lastUsableEpoch = Int16.max - 1

    /// What InitProducerId may do for a caller.
    private enum Claim {
        /// A new instance, without an identity: fence the others.
        case takeover
        /// The present owner asks for a higher epoch.
        case continuation
        /// The present owner asks again because the answer was lost: nothing new is handed out.
        case repetition
    }

    /// - Returns: nil if the caller's identity has been superseded.
    private static func judge(_ claimed: ProducerIdentity?, against row: TransactionRow) -> Claim? {
        guard let claimed else { return .takeover }
        if claimed == row.identity { return .continuation }
        if claimed == row.previous, row.state == .empty { return .repetition }
        return nil
    }

    private static func fenced(_ apiVersion: Int16) -> KafkaErrorCode {
        apiVersion >= 2 ? .producerFenced : .invalidProducerEpoch
    }

    private func verify(
        _ transactionalID: String, _ producer: ProducerIdentity, _ isPart: (TransactionRow) -> Bool
    ) -> KafkaErrorCode {
        guard let row = transactions[transactionalID], row.producerID == producer.producerID else {
            return .invalidProducerIDMapping
        }
        guard row.epoch == producer.epoch else { return .invalidProducerEpoch }
        return row.state == .ongoing && isPart(row) ? .none : .invalidTransactionState
    }

    private func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= configuration.maximumNameBytes
    }

    /// Adds something to the transaction of the caller, which starts with it if there is none. What is there already
    /// changes nothing.
    private mutating func extend(
        _ transactionalID: String, producer: ProducerIdentity, apiVersion: Int16, now: Timestamp,
        add: (inout TransactionRow) -> KafkaErrorCode
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        guard !transactionalID.isEmpty else { return Decision(.invalidRequest) }
        guard let row = transactions[transactionalID], row.producerID == producer.producerID else {
            return Decision(.invalidProducerIDMapping)
        }
        guard row.epoch == producer.epoch else { return Decision(Self.fenced(apiVersion)) }
        return extend(row, startedAt: now, now: now, add: add)
    }

    /// - Parameter startedAt: when the transaction began if this is the first addition to it.
    private mutating func extend(
        _ row: TransactionRow, startedAt: Timestamp, now: Timestamp, add: (inout TransactionRow) -> KafkaErrorCode
    ) -> Decision<KafkaErrorCode, TransactionDirective> {
        var row = row
        let before = (row.partitions.count, row.groups.count)
        let error = add(&row)
        guard error == .none, before != (row.partitions.count, row.groups.count) else { return Decision(error) }
        if row.state != .ongoing {
            row.state = .ongoing
            row.startedAt = startedAt
        }
        var directives: [TransactionDirective] = []
        store(&row, now: now, in: &directives)
        return Decision(.none, directives)
    }

    private static func add(_ partitions: [TopicPartition], to row: inout TransactionRow) -> KafkaErrorCode {
        row.partitions = Set(row.partitions).union(partitions).sorted()
        return .none
    }

    private static func add(_ groupID: String, to row: inout TransactionRow, limit: Int) -> KafkaErrorCode {
        guard !row.groups.contains(groupID) else { return .none }
        guard row.groups.count < limit else { return .policyViolation }
        row.groups.append(groupID)
        row.groups.sort()
        return .none
    }

    private mutating func register(
        _ transactionalID: String, request: InitProducerIDRequest, now: Timestamp
    ) -> Decision<Result<ProducerIdentity, KafkaErrorCode>, TransactionDirective> {
        var row = TransactionRow(
            transactionalID: transactionalID, producerID: allocateProducerID(), epoch: 0, previous: .none,
            timeoutMilliseconds: request.timeoutMilliseconds, state: .empty, partitions: [],
            groups: [], startedAt: nil, lastUpdate: now)
        var directives: [TransactionDirective] = [.saveNextProducerID(nextProducerID)]
        store(&row, now: now, in: &directives)
        return Decision(.success(row.identity), directives)
    }

    /// Aborts under a higher epoch, which nobody else has: whoever wrote the transaction is fenced with it.
    private func abortAndFence(_ row: inout TransactionRow) -> TransactionCompletion {
        if row.epoch < .max { row.epoch += 1 }
        row.previous = .none
        return Self.close(&row, outcome: .abort)
    }

    private static func close(_ row: inout TransactionRow, outcome: TransactionOutcome) -> TransactionCompletion {
        let completion = TransactionCompletion(
            transactionalID: row.transactionalID, producer: row.identity, outcome: outcome,
            partitions: row.partitions, groups: row.groups)
        row.partitions = []
        row.groups = []
        row.startedAt = nil
        row.state = outcome == .commit ? .completeCommit : .completeAbort
        return completion
    }

    private mutating func store(
        _ row: inout TransactionRow, now: Timestamp, in directives: inout [TransactionDirective]
    ) {
        row.lastUpdate = now
        transactions[row.transactionalID] = row
        noteDeadline(of: row)
        directives.append(.persist(row))
    }

    private mutating func allocateProducerID() -> Int64 {
        defer { nextProducerID += 1 }
        return nextProducerID
    }

    private mutating func noteDeadline(of row: TransactionRow) {
        let deadline = row.deadline ?? row.lastUpdate.advanced(by: configuration.idExpiration)
        nextDeadline = min(nextDeadline ?? deadline, deadline)
    }
}
