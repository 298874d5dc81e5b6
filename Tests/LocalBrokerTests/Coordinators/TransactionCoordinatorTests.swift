import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("TransactionCoordinator")
struct TransactionCoordinatorTests {
    let now = Timestamp(millisecondsSinceEpoch: 50_000)
    let partition = TopicPartition(topic: "t", partition: 0)

    /// A coordinator with one initialised producer.
    func started() throws -> (TransactionCoordinator, ProducerIdentity) {
        var coordinator = TransactionCoordinator()
        let producer = try initialise(&coordinator).answer.get()
        return (coordinator, producer)
    }

    func initialise(
        _ coordinator: inout TransactionCoordinator, id: String? = "tx", current: ProducerIdentity = .none,
        timeout: Duration = .seconds(10), apiVersion: Int16 = 4, at time: Timestamp? = nil
    ) -> Decision<Result<ProducerIdentity, KafkaErrorCode>, TransactionDirective> {
        coordinator.initProducerID(
            TransactionCoordinator.InitProducerIDRequest(
                transactionalID: id, transactionTimeout: timeout, current: current, apiVersion: apiVersion),
            now: time ?? now)
    }

    func begin(_ coordinator: inout TransactionCoordinator, _ producer: ProducerIdentity) {
        let decision = coordinator.addPartitions(
            transactionalID: "tx", producer: producer, partitions: [partition], apiVersion: 3, now: now)
        #expect(decision.answer == .none)
    }

    func completions(_ directives: [TransactionDirective]) -> [TransactionCompletion] {
        directives.compactMap { if case .finish(let completion) = $0 { completion } else { nil } }
    }

    @Test("a new instance gets the next epoch of the same producer id; the old one is fenced everywhere")
    func takeover() throws {
        var (coordinator, old) = try started()
        let new = try initialise(&coordinator).answer.get()
        #expect(new == ProducerIdentity(producerID: old.producerID, epoch: old.epoch + 1))
        let add = coordinator.addPartitions(
            transactionalID: "tx", producer: old, partitions: [partition], apiVersion: 2, now: now)
        #expect(add.answer == .producerFenced)
        let addOld = coordinator.addPartitions(
            transactionalID: "tx", producer: old, partitions: [partition], apiVersion: 1, now: now)
        #expect(addOld.answer == .invalidProducerEpoch)
        let offsets = coordinator.addOffsets(
            transactionalID: "tx", producer: old, groupID: "g", apiVersion: 2, now: now)
        #expect(offsets.answer == .producerFenced)
        let end = coordinator.end(transactionalID: "tx", producer: old, outcome: .commit, apiVersion: 3, now: now)
        #expect(end.answer == .producerFenced)
        begin(&coordinator, new)
        #expect(
            coordinator.verifyProduce(transactionalID: "tx", producer: old, partition: partition)
                == .invalidProducerEpoch)
        #expect(
            coordinator.verifyOffsetCommit(transactionalID: "tx", producer: old, groupID: "g")
                == .invalidProducerEpoch)
    }

    @Test("a takeover aborts the open transaction first, under an epoch that fences its writer")
    func takeoverAborts() throws {
        var (coordinator, old) = try started()
        begin(&coordinator, old)
        let decision = initialise(&coordinator)
        let new = try decision.answer.get()
        let completion = try #require(completions(decision.directives).first)
        #expect(completion.outcome == .abort)
        #expect(completion.partitions == [partition])
        #expect(completion.producer.epoch > old.epoch)
        #expect(new.epoch >= completion.producer.epoch)
        guard case .finish = decision.directives.first else {
            Issue.record("markers come before the row, not \(decision.directives)")
            return
        }
    }

    @Test("a zombie's automatic bump is refused and leaves the owner's open transaction alone")
    func zombieBump() throws {
        var (coordinator, zombie) = try started()
        let owner = try initialise(&coordinator).answer.get()
        begin(&coordinator, owner)
        let bump = initialise(&coordinator, current: zombie)
        #expect(bump.answer == .failure(.producerFenced))
        #expect(bump.directives.isEmpty)
        #expect(initialise(&coordinator, current: zombie, apiVersion: 3).answer == .failure(.invalidProducerEpoch))
        #expect(
            coordinator.verifyProduce(transactionalID: "tx", producer: owner, partition: partition) == .none)
    }

    @Test("the owner's own bump succeeds, and its repetition gets the same answer")
    func ownBump() throws {
        var (coordinator, producer) = try started()
        begin(&coordinator, producer)
        let bumped = try initialise(&coordinator, current: producer).answer.get()
        #expect(bumped.epoch > producer.epoch)
        let repeated = try initialise(&coordinator, current: producer).answer.get()
        #expect(repeated == bumped)
        // Once the new identity is in use the old one is a zombie.
        begin(&coordinator, bumped)
        #expect(initialise(&coordinator, current: producer).answer == .failure(.producerFenced))
    }

    @Test("after the last epoch comes a new producer id; a repetition across the rotation is recognised")
    func exhaustion() throws {
        var coordinator = TransactionCoordinator()
        var producer = try initialise(&coordinator).answer.get()
        while producer.epoch < TransactionCoordinator.lastUsableEpoch {
            producer = try initialise(&coordinator).answer.get()
        }
        begin(&coordinator, producer)
        let decision = initialise(&coordinator, current: producer)
        let rotated = try decision.answer.get()
        #expect(completions(decision.directives).first?.producer.epoch == .max)
        #expect(rotated.producerID != producer.producerID)
        #expect(rotated.epoch == 0)
        #expect(try initialise(&coordinator, current: producer).answer.get() == rotated)
        let old = coordinator.end(
            transactionalID: "tx", producer: producer, outcome: .abort, apiVersion: 3, now: now)
        #expect(old.answer == .invalidProducerIDMapping)
    }

    @Test("EndTxn: idempotent for the same outcome, refused for the other one and without a transaction")
    func end() throws {
        var (coordinator, producer) = try started()
        func end(_ outcome: TransactionOutcome) -> Decision<KafkaErrorCode, TransactionDirective> {
            coordinator.end(transactionalID: "tx", producer: producer, outcome: outcome, apiVersion: 3, now: now)
        }
        #expect(end(.commit).answer == .invalidTransactionState)
        begin(&coordinator, producer)
        let decision = end(.commit)
        #expect(decision.answer == .none)
        #expect(completions(decision.directives).map(\.producer) == [producer])
        let repeated = end(.commit)
        #expect(repeated.answer == .none)
        #expect(repeated.directives.isEmpty)
        #expect(end(.abort).answer == .invalidTransactionState)
        #expect(
            coordinator.verifyProduce(transactionalID: "tx", producer: producer, partition: partition)
                == .invalidTransactionState)
    }

    @Test("a transactional batch needs an open transaction that has its partition")
    func verify() throws {
        var (coordinator, producer) = try started()
        func verify(_ number: Int32, id: String? = "tx") -> KafkaErrorCode {
            coordinator.verifyProduce(
                transactionalID: id, producer: producer, partition: TopicPartition(topic: "t", partition: number))
        }
        #expect(verify(0) == .invalidTransactionState)
        begin(&coordinator, producer)
        #expect(verify(0) == .none)
        #expect(verify(1) == .invalidTransactionState)
        #expect(verify(0, id: nil) == .invalidTransactionState)
        #expect(verify(0, id: "other") == .invalidProducerIDMapping)
    }

    @Test("offsets may be added only for groups of the transaction")
    func verifyOffsets() throws {
        var (coordinator, producer) = try started()
        _ = coordinator.addOffsets(transactionalID: "tx", producer: producer, groupID: "g", apiVersion: 3, now: now)
        #expect(coordinator.verifyOffsetCommit(transactionalID: "tx", producer: producer, groupID: "g") == .none)
        #expect(
            coordinator.verifyOffsetCommit(transactionalID: "tx", producer: producer, groupID: "h")
                == .invalidTransactionState)
        let decision = coordinator.end(
            transactionalID: "tx", producer: producer, outcome: .commit, apiVersion: 3, now: now)
        #expect(completions(decision.directives).map(\.groups) == [["g"]])
    }

    @Test("a transaction that runs too long is aborted and its producer fenced")
    func timeout() throws {
        var (coordinator, producer) = try started()
        begin(&coordinator, producer)
        let deadline = try #require(coordinator.nextDeadline)
        #expect(deadline == now.advanced(by: .seconds(10)))
        #expect(coordinator.expire(now: now.advanced(by: .milliseconds(9_999))).isEmpty)
        let directives = coordinator.expire(now: deadline)
        let completion = try #require(completions(directives).first)
        #expect(completion.outcome == .abort)
        #expect(completion.producer == ProducerIdentity(producerID: producer.producerID, epoch: producer.epoch + 1))
        let end = coordinator.end(
            transactionalID: "tx", producer: producer, outcome: .commit, apiVersion: 3, now: deadline)
        #expect(end.answer == .producerFenced)
        #expect(initialise(&coordinator, current: producer).answer == .failure(.producerFenced))
        #expect(try initialise(&coordinator).answer.get().epoch > completion.producer.epoch)
    }

    @Test("ids that were not used for a week are forgotten; their producers are told so")
    func idExpiry() throws {
        var (coordinator, producer) = try started()
        let week = now.advanced(by: .seconds(7 * 24 * 3600))
        #expect(coordinator.expire(now: week) == [.remove(transactionalID: "tx")])
        let add = coordinator.addPartitions(
            transactionalID: "tx", producer: producer, partitions: [partition], apiVersion: 3, now: week)
        #expect(add.answer == .invalidProducerIDMapping)
    }

    @Test(
        "time-outs that are not allowed and half identities are refused",
        arguments: [Duration.zero, .seconds(-1), .seconds(901)])
    func badArguments(timeout: Duration) {
        var coordinator = TransactionCoordinator()
        #expect(initialise(&coordinator, timeout: timeout).answer == .failure(.invalidTransactionTimeout))
        #expect(initialise(&coordinator, id: "").answer == .failure(.invalidRequest))
        let half = ProducerIdentity(producerID: 4, epoch: -1)
        #expect(initialise(&coordinator, current: half).answer == .failure(.invalidRequest))
    }

    @Test("idempotent producers get ids of their own, never one that was handed out before a restart")
    func producerIDs() throws {
        var coordinator = TransactionCoordinator()
        let first = initialise(&coordinator, id: nil)
        let second = initialise(&coordinator, id: nil)
        #expect(try first.answer.get() != second.answer.get())
        guard case .saveNextProducerID(let saved) = second.directives.last else {
            Issue.record("the next producer id is not saved: \(second.directives)")
            return
        }
        var restored = TransactionCoordinator(nextProducerID: saved)
        let third = try initialise(&restored, id: nil).answer.get()
        #expect(try third.producerID > second.answer.get().producerID)
    }
}
