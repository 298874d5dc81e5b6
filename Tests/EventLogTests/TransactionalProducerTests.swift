import CRdKafka
import EventLog
import Testing

/// What librdkafka's mock cluster can show: errors by injection. Visibility and fencing need a real broker.
@Suite(.timeLimit(.minutes(1)))
struct TransactionalProducerTests {
    private func producer(_ cluster: MockCluster, timeout: Duration = .seconds(10)) throws -> TransactionalProducer {
        cluster.createTopic("t", partitions: 2)
        return try TransactionalProducer(
            cluster.configuration(), transactionalID: "owner-0", transactionTimeout: timeout, logger: quiet)
    }

    private func batch(_ values: String...) -> [ProducerRecord] { values.map { .text($0, to: "t") } }

    private func failure(_ producer: TransactionalProducer, _ batch: [ProducerRecord]) async -> EventLogError? {
        await #expect(throws: EventLogError.self) { try await producer.commit(batch) }
    }

    @Test func batchesCommitOneAfterTheOther() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster)
        #expect(await failure(producer, batch("early"))?.kind == .retriable)
        try await producer.initialize(timeout: .seconds(10))
        try await producer.commit([])
        for index in 0..<20 { try await producer.commit(batch("\(index)")) }
        #expect(producer.isUsable)

        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([TopicPartition(topic: "t", partition: 0): .beginning])
        #expect(try await intake.records(20).map(\.text) == (0..<20).map { "\($0)" })
        await consumer.close()
        await producer.close()
        #expect(await failure(producer, batch("late"))?.kind == .closed)
    }

    @Test func passingErrorsAreRepeatedInside() async throws {
        let cluster = try MockCluster()
        cluster.failNext(2, requests: .initProducerId, with: RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS)
        let producer = try producer(cluster)
        try await producer.initialize(timeout: .seconds(20))
        cluster.failNext(2, requests: .addPartitionsToTxn, with: RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS)
        try await producer.commit(batch("a"))
        cluster.failNext(2, requests: .endTxn, with: RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS)
        try await producer.commit(batch("b"))
        await producer.close()
    }

    @Test func anAbortedBatchMayRunAgain() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster)
        try await producer.initialize(timeout: .seconds(10))
        cluster.failNext(1, requests: .addPartitionsToTxn, with: RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        #expect(await failure(producer, batch("a"))?.kind == .abortable)
        try await producer.commit(batch("a"))
        await producer.close()
    }

    @Test func tooLargeAbortsAndNamesTheRecord() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster)
        try await producer.initialize(timeout: .seconds(10))
        var large = batch("a")
        large.append(
            ProducerRecord(topic: "t", partition: 1, key: nil, value: [UInt8](repeating: 0, count: 5_000_000)))
        let error = await failure(producer, large)
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("t[1]") == true)
        try await producer.commit(batch("b"))
        await producer.close()
    }

    @Test func fencedBeforeTheCommitIsCertainAndFinal() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster)
        try await producer.initialize(timeout: .seconds(10))
        cluster.failNext(1, requests: .addPartitionsToTxn, with: RD_KAFKA_RESP_ERR_PRODUCER_FENCED)
        #expect(await failure(producer, batch("a"))?.kind == .fenced)
        #expect(!producer.isUsable)
        #expect(await failure(producer, batch("b"))?.kind == .fenced)
        await producer.close()
    }

    @Test func fencedInTheCommitIsInDoubt() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster)
        try await producer.initialize(timeout: .seconds(10))
        cluster.failNext(1, requests: .endTxn, with: RD_KAFKA_RESP_ERR_PRODUCER_FENCED)
        #expect(await failure(producer, batch("a"))?.kind == .outcomeUnknown)
        #expect(await failure(producer, batch("b"))?.kind == .fenced)
        await producer.close()
    }

    @Test func aBrokerThatGoesAwayAndComesBackIsWaitedFor() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster)
        try await producer.initialize(timeout: .seconds(10))
        try await producer.commit(batch("a"))
        cluster.setBrokerIsUp(false)
        async let commit: Void = producer.commit(batch("b"))
        cluster.setBrokerIsUp(true)
        try await commit
        await producer.close()
    }

    @Test func aBrokerThatStaysAwayEndsTheCommitInBoundedTime() async throws {
        let cluster = try MockCluster()
        let producer = try producer(cluster, timeout: .seconds(2))
        try await producer.initialize(timeout: .seconds(10))
        try await producer.commit(batch("a"))
        cluster.setBrokerIsUp(false)
        let start = ContinuousClock.now
        let error = await failure(producer, batch("b"))
        // Nothing was delivered, so nothing can have been committed; the abort cannot reach anybody either.
        #expect([.fatal, .abortable, .outcomeUnknown].contains(error?.kind), "\(String(describing: error))")
        #expect(.now - start < .seconds(12))
        await producer.close()
    }

    @Test func withoutABrokerInitializingTimesOutAndMayBeRepeated() async throws {
        let configuration = KafkaConfiguration(bootstrapServers: "127.0.0.1:1", clientID: "test")
        let producer = try TransactionalProducer(configuration, transactionalID: "x", logger: quiet)
        for _ in 0..<2 {
            let error = await #expect(throws: EventLogError.self) {
                try await producer.initialize(timeout: .milliseconds(300))
            }
            #expect(error?.kind == .timedOut)
            #expect(error?.nextStep?.contains("127.0.0.1:1") == true)
        }
        await producer.close()
    }
}
