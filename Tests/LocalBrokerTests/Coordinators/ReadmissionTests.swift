import OrchestraCore
import Testing

@testable import LocalBroker

/// What AddPartitionsToTxn and AddOffsetsToTxn added may be lost with the process; see `TransactionCoordinator.readmit`.
@Suite("Additions to a transaction that a restart has lost")
struct ReadmissionTests {
    static let now = Timestamp(millisecondsSinceEpoch: 50_000)
    static let timeout = Duration.seconds(10)
    let now = Self.now
    let partition = TopicPartition(topic: "t", partition: 0)

    /// A coordinator that knows what was stored before it was started again, and the producer of its only id.
    struct Restarted {
        var coordinator: TransactionCoordinator
        var producer: ProducerIdentity

        /// - Parameter ended: how the producer's transaction before the restart had ended, if there was one.
        init(after ended: TransactionOutcome? = nil, open: [TopicPartition] = []) throws {
            var before = TransactionCoordinator()
            producer = try Self.initialise(&before)
            let partition = TopicPartition(topic: "t", partition: 7)
            if let ended {
                _ = before.addPartitions(
                    transactionalID: "tx", producer: producer, partitions: [partition], apiVersion: 3, now: now)
                _ = before.end(
                    transactionalID: "tx", producer: producer, outcome: ended, apiVersion: 3, now: now)
            }
            if !open.isEmpty {
                _ = before.addPartitions(
                    transactionalID: "tx", producer: producer, partitions: open, apiVersion: 3, now: now)
            }
            coordinator = TransactionCoordinator(
                transactions: Array(before.transactions.values), nextProducerID: before.nextProducerID, now: now)
        }

        @discardableResult
        static func initialise(
            _ coordinator: inout TransactionCoordinator, current: ProducerIdentity = .none
        ) throws -> ProducerIdentity {
            try coordinator.initProducerID(
                .init(transactionalID: "tx", transactionTimeout: timeout, current: current, apiVersion: 4), now: now
            ).answer.get()
        }

        mutating func readmit(
            _ partition: TopicPartition, by producer: ProducerIdentity? = nil, id: String? = "tx",
            at time: Timestamp = now
        ) -> KafkaErrorCode {
            coordinator.readmit(
                transactionalID: id, producer: producer ?? self.producer, partition: partition, now: time
            ).answer
        }

        mutating func end(_ outcome: TransactionOutcome, at time: Timestamp = now) -> KafkaErrorCode {
            coordinator.end(transactionalID: "tx", producer: producer, outcome: outcome, apiVersion: 3, now: time)
                .answer
        }
    }

    @Test("a batch brings its partition back, into a new transaction or an open one", arguments: [true, false])
    func partitions(isOpen: Bool) throws {
        let other = TopicPartition(topic: "t", partition: 1)
        var restarted = try Restarted(after: .commit, open: isOpen ? [other] : [])
        #expect(
            restarted.coordinator.verifyProduce(
                transactionalID: "tx", producer: restarted.producer, partition: partition) == .invalidTransactionState)
        let decision = restarted.coordinator.readmit(
            transactionalID: "tx", producer: restarted.producer, partition: partition, now: now)
        #expect(decision.answer == .none)
        guard case .persist(let row) = decision.directives.last else {
            Issue.record("it has to be stored with the batch, not \(decision.directives)")
            return
        }
        #expect(row.partitions == (isOpen ? [partition, other] : [partition]))
        #expect(
            restarted.coordinator.verifyProduce(
                transactionalID: "tx", producer: restarted.producer, partition: partition) == .none)
        #expect(restarted.end(.commit) == .none)
    }

    @Test("an offset brings its group back, within the limits of names")
    func groups() throws {
        var restarted = try Restarted(after: .abort)
        func readmit(_ groupID: String) -> KafkaErrorCode {
            restarted.coordinator.readmit(
                transactionalID: "tx", producer: restarted.producer, groupID: groupID, now: now
            ).answer
        }
        #expect(readmit("g") == .none)
        #expect(readmit("") == .invalidGroupID)
        #expect(
            restarted.coordinator.verifyOffsetCommit(
                transactionalID: "tx", producer: restarted.producer, groupID: "g") == .none)
        #expect(restarted.coordinator.transactions["tx"]?.groups == ["g"])
    }

    @Test("nobody but the present owner of the id gets in, and nobody in a broker that has not restarted")
    func strangers() throws {
        var restarted = try Restarted()
        let owner = restarted.producer
        for stranger in [
            ProducerIdentity(producerID: owner.producerID, epoch: owner.epoch + 1),
            ProducerIdentity(producerID: owner.producerID, epoch: owner.epoch - 1),
            ProducerIdentity(producerID: owner.producerID + 1, epoch: owner.epoch),
        ] {
            #expect(restarted.readmit(partition, by: stranger) == .invalidTransactionState)
        }
        #expect(restarted.readmit(partition, id: nil) == .invalidTransactionState)
        #expect(restarted.readmit(partition, id: "other") == .invalidTransactionState)

        var fresh = TransactionCoordinator()
        let producer = try Restarted.initialise(&fresh)
        #expect(
            fresh.readmit(transactionalID: "tx", producer: producer, partition: partition, now: now).answer
                == .invalidTransactionState)
        #expect(
            fresh.end(transactionalID: "tx", producer: producer, outcome: .abort, apiVersion: 3, now: now).answer
                == .invalidTransactionState)
    }

    @Test("nobody gets in any more once a transaction has ended", arguments: [TransactionOutcome.commit, .abort])
    func afterTheEnd(outcome: TransactionOutcome) throws {
        var open = try Restarted(open: [TopicPartition(topic: "t", partition: 1)])
        #expect(open.end(outcome) == .none)
        #expect(open.readmit(partition) == .invalidTransactionState)
        // Of this one nothing was stored, or it is the last one that is ended again.
        var unknown = try Restarted(after: outcome)
        #expect(unknown.end(outcome) == .none)
        #expect(unknown.readmit(partition) == .invalidTransactionState)
    }

    @Test("nobody gets in under a new epoch, whether it was asked for or comes from a time-out")
    func afterTheEpoch() throws {
        var taken = try Restarted()
        taken.producer = try Restarted.initialise(&taken.coordinator)
        #expect(taken.readmit(partition) == .invalidTransactionState)
        var bumped = try Restarted()
        bumped.producer = try Restarted.initialise(&bumped.coordinator, current: bumped.producer)
        #expect(bumped.readmit(partition) == .invalidTransactionState)
        var late = try Restarted(open: [TopicPartition(topic: "t", partition: 1)])
        #expect(!late.coordinator.expire(now: now.advanced(by: Self.timeout)).isEmpty)
        late.producer = try #require(late.coordinator.transactions["tx"]).identity
        #expect(late.readmit(partition) == .invalidTransactionState)
    }

    @Test("the transaction began before the restart: its time-out counts from there at the latest")
    func timeouts() throws {
        let deadline = now.advanced(by: Self.timeout)
        let before = deadline.advanced(by: .milliseconds(-1))
        var restarted = try Restarted()
        #expect(restarted.readmit(partition, at: before) == .none)
        #expect(restarted.coordinator.transactions["tx"]?.deadline == deadline)
        var late = try Restarted()
        #expect(late.readmit(partition, at: deadline) == .invalidTransactionState)
        #expect(late.end(.abort, at: deadline) == .invalidTransactionState)
    }

    @Test(
        "the first transaction of an epoch ends as its producer wants", arguments: [TransactionOutcome.commit, .abort])
    func endOfTheFirst(outcome: TransactionOutcome) throws {
        let other: TransactionOutcome = outcome == .commit ? .abort : .commit
        var restarted = try Restarted()
        #expect(restarted.end(outcome) == .none)
        #expect(restarted.end(outcome) == .none)
        #expect(restarted.end(other) == .invalidTransactionState)
        let state = restarted.coordinator.transactions["tx"]?.state
        #expect(state == (outcome == .commit ? .completeCommit : .completeAbort))
    }

    @Test("an end that was stored is not contradicted", arguments: [TransactionOutcome.commit, .abort])
    func contradiction(outcome: TransactionOutcome) throws {
        let other: TransactionOutcome = outcome == .commit ? .abort : .commit
        var restarted = try Restarted(after: outcome)
        #expect(restarted.end(other) == .invalidTransactionState)
        #expect(restarted.end(outcome) == .none)
    }
}
