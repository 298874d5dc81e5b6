import OrchestraCore
import SeededRandom
import Testing

@testable import LocalBroker

/// Producers, zombies, time-outs and broker restarts at random over the real coordinator and ledgers, with the log as
/// a plain array. What is added to transactions is answered before it is stored, and is lost if the broker is killed
/// before anything else is. A reader that follows `read_committed` with the ledger's answers must see exactly the committed
/// transactions.
@Suite("Transactions, simulated")
struct TransactionSimulationTests {
    enum LogEntry: Hashable {
        case record(producerID: Int64, transaction: Int)
        case marker(producerID: Int64, TransactionOutcome)
    }

    struct Instance {
        var transactionalID: String
        var producer: ProducerIdentity
        var sequences: [Int: Int32] = [:]
        var transaction: Int?
        var partitions: Set<Int> = []
        /// The broker was restarted since this producer last ended a transaction.
        var mayLackAdditions = false
        /// The open transaction has records.
        var hasWritten = false
    }

    struct World {
        var generator: SeededGenerator
        var now = Timestamp(millisecondsSinceEpoch: 1_000_000)
        var coordinator = TransactionCoordinator()
        var rows: [String: TransactionRow] = [:]
        /// What is stored with the next row or batch.
        var riding: [String: TransactionRow] = [:]
        var restartedAt: Timestamp?
        var readmissions = 0
        var nextProducerID: Int64 = 0
        var ledgers: [ProducerLedger]
        var stored: [(producers: [Int64: ProducerEntry], aborted: [AbortedTransaction])]
        var logs: [[LogEntry]]
        var stable: [Int64]
        var instances: [Instance] = []
        var transactions = 0
        var committed: Set<Int> = []
        var expectedRecords: [Int: [Int]] = [:]
        var trace: [String] = []

        init(seed: UInt64, partitions: Int) {
            generator = SeededGenerator(seed: seed)
            ledgers = Array(repeating: ProducerLedger(), count: partitions)
            stored = Array(repeating: ([:], []), count: partitions)
            logs = Array(repeating: [], count: partitions)
            stable = Array(repeating: 0, count: partitions)
        }
    }

    @Test("readers see exactly the committed transactions", arguments: 1...UInt64(40))
    func readCommitted(seed: UInt64) {
        let world = run(seed: seed, steps: 1_500)
        #expect(world.committed.count > 10, "seed \(seed): the run must commit something")
        #expect(world.readmissions > 0, "seed \(seed): the run must lose additions")
        for partition in world.logs.indices {
            let seen = read(world, partition: partition, from: 0)
            let expected = (world.expectedRecords[partition] ?? []).filter(world.committed.contains)
            #expect(seen == expected, "seed \(seed), partition \(partition)")
            // A reader that starts anywhere sees the same tail.
            for start in stride(from: 0, to: world.logs[partition].count, by: 37) {
                let skipped = world.logs[partition][..<start].count { entry in
                    guard case .record(_, let transaction) = entry else { return false }
                    return world.committed.contains(transaction)
                }
                let tail = read(world, partition: partition, from: start)
                let expectedTail = Array(expected.dropFirst(skipped))
                #expect(tail == expectedTail, "seed \(seed), partition \(partition) from \(start)")
            }
        }
    }

    @Test("the same seed gives the same run")
    func deterministic() {
        #expect(run(seed: 5, steps: 500).trace == run(seed: 5, steps: 500).trace)
        #expect(run(seed: 5, steps: 500).trace != run(seed: 6, steps: 500).trace)
    }

    /// What a client does with a fetch answer: skip a producer's data from the start of an aborted transaction to its
    /// abort marker.
    func read(_ world: World, partition: Int, from start: Int) -> [Int] {
        let log = world.logs[partition]
        let bound = world.ledgers[partition].lastStableOffset(logEndOffset: Int64(log.count))
        var aborted = world.ledgers[partition].abortedTransactions(fetchOffset: Int64(start), upperBound: bound)
            .sorted { $0.firstOffset < $1.firstOffset }[...]
        var skipping: Set<Int64> = []
        var seen: [Int] = []
        for offset in start..<max(start, Int(bound)) {
            while let next = aborted.first, next.firstOffset <= offset {
                skipping.insert(next.producerID)
                aborted.removeFirst()
            }
            switch log[offset] {
            case .marker(let producerID, .abort): skipping.remove(producerID)
            case .marker: break
            case .record(let producerID, let transaction):
                if !skipping.contains(producerID) { seen.append(transaction) }
            }
        }
        return seen
    }

    func run(seed: UInt64, steps: Int) -> World {
        var world = World(seed: seed, partitions: 3)
        for _ in 0..<steps {
            world.now = world.now.advanced(by: .milliseconds(Int64.random(in: 0...20, using: &world.generator)))
            switch Int.random(in: 0..<100, using: &world.generator) {
            case 0..<6: initialise(&world)
            case 6..<60: produce(&world)
            case 60..<85: end(&world)
            case 85..<90: apply(world.coordinator.expire(now: world.now), in: &world)
            case 90..<97: bump(&world)
            default: restart(&world)
            }
            for partition in world.logs.indices {
                let stable = world.ledgers[partition].lastStableOffset(
                    logEndOffset: Int64(world.logs[partition].count))
                #expect(stable >= world.stable[partition], "seed \(seed): the last stable offset went back")
                world.stable[partition] = stable
            }
        }
        // Let every open transaction time out, so that the end is definite.
        world.now = world.now.advanced(by: .seconds(100))
        apply(world.coordinator.expire(now: world.now), in: &world)
        return world
    }

    func initialise(_ world: inout World) {
        let transactionalID = "tx-\(Int.random(in: 0..<3, using: &world.generator))"
        let decision = world.coordinator.initProducerID(
            TransactionCoordinator.InitProducerIDRequest(
                transactionalID: transactionalID, transactionTimeout: .milliseconds(400), apiVersion: 4),
            now: world.now)
        apply(decision.directives, in: &world)
        guard case .success(let producer) = decision.answer else {
            Issue.record("a new instance is never refused: \(decision.answer)")
            return
        }
        let clash = world.instances.contains { $0.producer == producer }
        #expect(!clash, "\(producer) was handed out twice")
        world.instances.append(Instance(transactionalID: transactionalID, producer: producer))
        if world.instances.count > 8 { world.instances.removeFirst() }
    }

    func produce(_ world: inout World) {
        guard let index = world.instances.indices.randomElement(using: &world.generator) else { return }
        let partition = Int.random(in: 0..<world.logs.count, using: &world.generator)
        let instance = world.instances[index]
        let key = TopicPartition(topic: "t", partition: Int32(partition))
        // Some clients forget to add the partition: then the batch must be refused.
        if !world.generator.chance(5) {
            let decision = world.coordinator.addPartitions(
                transactionalID: instance.transactionalID, producer: instance.producer, partitions: [key],
                apiVersion: 3, now: world.now)
            for case .persist(let row) in decision.directives { world.riding[row.transactionalID] = row }
            guard decision.answer == .none else { return note(decision.answer, index, in: &world) }
            take(partition, index, in: &world)
            if world.generator.chance(10) { restart(&world) }
        }
        let admission = admit(partition, index, in: &world)
        guard admission == .none, let transaction = world.instances[index].transaction else {
            return note(admission, index, in: &world)
        }
        let batch = ProducedBatch(
            producer: instance.producer, baseSequence: instance.sequences[partition, default: 0], recordCount: 1,
            isTransactional: true)
        let verdict = world.ledgers[partition].check(batch)
        #expect(verdict == .append, "the present owner continues its sequence")
        world.ledgers[partition].append(batch, baseOffset: Int64(world.logs[partition].count), now: world.now)
        world.logs[partition].append(.record(producerID: instance.producer.producerID, transaction: transaction))
        world.expectedRecords[partition, default: []].append(transaction)
        world.instances[index].sequences[partition] = batch.baseSequence + 1
        world.instances[index].hasWritten = true
        // Sometimes the answer is lost and the client repeats the batch.
        if world.generator.chance(20) {
            guard case .duplicate(let baseOffset, _) = world.ledgers[partition].check(batch) else {
                Issue.record("a repeated batch is not recognised")
                return
            }
            #expect(baseOffset == Int64(world.logs[partition].count) - 1)
        }
        store(partition, in: &world)
        world.trace.append("produce \(index) \(partition)")
    }

    func take(_ partition: Int, _ index: Int, in world: inout World) {
        world.instances[index].partitions.insert(partition)
        guard world.instances[index].transaction == nil else { return }
        world.transactions += 1
        world.instances[index].transaction = world.transactions
    }

    /// What the broker says to a batch that is in order.
    func admit(_ partition: Int, _ index: Int, in world: inout World) -> KafkaErrorCode {
        let instance = world.instances[index]
        let key = TopicPartition(topic: "t", partition: Int32(partition))
        let isAdded = instance.partitions.contains(partition)
        let verified = world.coordinator.verifyProduce(
            transactionalID: instance.transactionalID, producer: instance.producer, partition: key)
        #expect(isAdded || verified != .none, "a batch to a partition that was not added is refused")
        guard verified == .invalidTransactionState else { return verified }
        let decision = world.coordinator.readmit(
            transactionalID: instance.transactionalID, producer: instance.producer, partition: key, now: world.now)
        if decision.answer == .none {
            #expect(instance.mayLackAdditions, "nothing was lost that could come back")
            world.readmissions += 1
            apply(decision.directives, in: &world)
            take(partition, index, in: &world)
            world.trace.append("readmit \(index) \(partition)")
        } else if isAdded, let restartedAt = world.restartedAt {
            let hasTime = world.now < restartedAt.advanced(by: .milliseconds(400))
            #expect(!hasTime, "the owner's batch is refused although its partition was added")
        }
        return decision.answer
    }

    func end(_ world: inout World) {
        guard let index = world.instances.indices.randomElement(using: &world.generator),
            let transaction = world.instances[index].transaction
        else { return }
        let outcome: TransactionOutcome = world.generator.chance(60) ? .commit : .abort
        let instance = world.instances[index]
        let decision = world.coordinator.end(
            transactionalID: instance.transactionalID, producer: instance.producer, outcome: outcome, apiVersion: 3,
            now: world.now)
        apply(decision.directives, in: &world)
        #expect(
            decision.answer != .invalidTransactionState || !instance.hasWritten,
            "the owner's transaction is refused its end although it has records")
        guard decision.answer == .none else { return note(decision.answer, index, in: &world) }
        if outcome == .commit { world.committed.insert(transaction) }
        world.instances[index].transaction = nil
        world.instances[index].partitions = []
        world.instances[index].mayLackAdditions = false
        world.instances[index].hasWritten = false
        world.trace.append("\(outcome) \(transaction)")
    }

    /// An instance asks for a higher epoch of its own accord; a zombie must be refused.
    func bump(_ world: inout World) {
        guard let index = world.instances.indices.randomElement(using: &world.generator) else { return }
        let instance = world.instances[index]
        let isOwner = world.rows[instance.transactionalID]?.identity == instance.producer
        let decision = world.coordinator.initProducerID(
            TransactionCoordinator.InitProducerIDRequest(
                transactionalID: instance.transactionalID, transactionTimeout: .milliseconds(400),
                current: instance.producer, apiVersion: 4),
            now: world.now)
        apply(decision.directives, in: &world)
        switch decision.answer {
        case .failure(let error):
            #expect(!isOwner && error == .producerFenced)
            #expect(decision.directives.isEmpty, "a refused bump changes nothing")
            note(error, index, in: &world)
        case .success(let producer):
            #expect(isOwner, "a zombie got \(producer)")
            world.instances[index] = Instance(transactionalID: instance.transactionalID, producer: producer)
        }
    }

    /// The broker crashes: only what was stored is left.
    func restart(_ world: inout World) {
        world.riding = [:]
        world.restartedAt = world.now
        for index in world.instances.indices { world.instances[index].mayLackAdditions = true }
        world.coordinator = TransactionCoordinator(
            transactions: Array(world.rows.values), nextProducerID: world.nextProducerID, now: world.now)
        for partition in world.ledgers.indices {
            world.ledgers[partition] = ProducerLedger(
                producers: Array(world.stored[partition].producers.values),
                aborted: world.stored[partition].aborted)
        }
        world.trace.append("restart")
    }

    func note(_ error: KafkaErrorCode, _ index: Int, in world: inout World) {
        world.trace.append("\(index) refused: \(error)")
    }

    func apply(_ directives: [TransactionDirective], in world: inout World) {
        if !directives.isEmpty { storeRiders(&world) }
        for directive in directives {
            switch directive {
            case .persist(let row): world.rows[row.transactionalID] = row
            case .remove(let transactionalID): world.rows[transactionalID] = nil
            case .saveNextProducerID(let next): world.nextProducerID = next
            case .finish(let completion):
                for key in completion.partitions {
                    let partition = Int(key.partition)
                    world.ledgers[partition].complete(
                        completion.producer, outcome: completion.outcome,
                        markerOffset: Int64(world.logs[partition].count), now: world.now)
                    world.logs[partition].append(
                        .marker(producerID: completion.producer.producerID, completion.outcome))
                    store(partition, in: &world)
                }
            }
        }
    }

    func storeRiders(_ world: inout World) {
        world.rows.merge(world.riding) { _, new in new }
        world.riding = [:]
    }

    func store(_ partition: Int, in world: inout World) {
        storeRiders(&world)
        let changes = world.ledgers[partition].drainChanges()
        for entry in changes.producers { world.stored[partition].producers[entry.producerID] = entry }
        for producerID in changes.removedProducers { world.stored[partition].producers[producerID] = nil }
        world.stored[partition].aborted += changes.aborted
    }
}
