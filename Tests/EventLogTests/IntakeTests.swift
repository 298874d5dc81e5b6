import CRdKafka
import EventLog
import OrchestraCore
import Testing

@Suite(.timeLimit(.minutes(1)))
struct IntakeTests {
    private let partition = TopicPartition(topic: "t", partition: 0)

    private func fill(_ cluster: MockCluster, _ count: Int, partition: Int32 = 0, size: Int = 10) async throws {
        let producer = try Producer(cluster.configuration(), logger: quiet)
        let value = [UInt8](repeating: 65, count: size)
        let record = ProducerRecord(topic: "t", partition: partition, key: nil, value: value)
        for result in await producer.send(Array(repeating: record, count: count)) { _ = try result.get() }
        await producer.close(timeout: .seconds(5))
    }

    @Test func endsAreToldWithTheNextOffset() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 2)
        try await fill(cluster, 5)
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let empty = TopicPartition(topic: "t", partition: 1)
        let intake = try await consumer.open([partition: .offset(2), empty: .beginning])
        var records: [Int64] = []
        var ends: [TopicPartition: Int64] = [:]
        while ends.count < 2 {
            for event in try await intake.next(maximumRecords: 100) {
                switch event {
                case .record(let record): records.append(record.offset)
                case .endOfPartition(let partition, let nextOffset): ends[partition] = nextOffset
                }
            }
        }
        #expect(records == [2, 3, 4])
        #expect(ends == [partition: 5, empty: 0])
        await consumer.close()
    }

    @Test func aSleepingReaderIsWokenAtOnce() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        // The mock cluster lets a fetch wait to its end even when records come.
        let consumer = try PartitionConsumer(
            cluster.configuration(properties: ["fetch.wait.max.ms": "5"]), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([partition: .beginning])
        _ = try await producer.send(.text("warm", to: "t"))
        _ = try await intake.records(1)
        var latencies: [Duration] = []
        for index in 0..<100 {
            async let next = intake.records(1)
            let start = ContinuousClock.now
            _ = try await producer.send(.text("\(index)", to: "t"))
            #expect(try await next.first?.text == "\(index)")
            latencies.append(.now - start)
        }
        latencies.sort()
        // Generous: the machine may be busy. A lost wake-up or a polling interval would take 100 ms and more.
        #expect(latencies[50] < .milliseconds(30), "median \(latencies[50])")
        await consumer.close()
        await producer.close(timeout: .seconds(5))
    }

    @Test func anOffsetThatIsNotThereIsAnError() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        try await fill(cluster, 5)
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([partition: .offset(1000)])
        for _ in 0..<2 {
            let error = await #expect(throws: EventLogError.self) { _ = try await intake.records(1) }
            #expect(error?.kind == .offsetOutOfRange)
            #expect(error?.message.contains("t[0]") == true)
        }
        await intake.close()
        // The consumer lives on.
        let again = try await consumer.open([partition: .beginning])
        #expect(try await again.records(5).count == 5)
        await consumer.close()
    }

    @Test func whatDoesNotExistIsToldWhenItIsOpened() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let consumer = try PartitionConsumer(
            cluster.configuration(properties: ["allow.auto.create.topics": "false"]), isolation: .readCommitted,
            logger: quiet)
        let error = await #expect(throws: EventLogError.self) {
            _ = try await consumer.open([TopicPartition(topic: "t", partition: 7): .beginning])
        }
        #expect(error?.kind == .unknownTopic)
        #expect(error?.message.contains("t[7]") == true)
        await consumer.close()
    }

    @Test func aPartitionIsOpenOnlyOnceAtATime() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        try await fill(cluster, 3)
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let first = try await consumer.open([partition: .beginning])
        let error = await #expect(throws: EventLogError.self) { _ = try await consumer.open([partition: .beginning]) }
        #expect(error?.kind == .retriable)
        await first.close()
        // Closed and opened again and again: each time everything comes.
        for _ in 0..<20 {
            let intake = try await consumer.open([partition: .beginning])
            #expect(try await intake.records(3).map(\.offset) == [0, 1, 2])
            await intake.close()
            await #expect(throws: EventLogError.self) { _ = try await intake.next(maximumRecords: 1) }
        }
        await consumer.close()
    }

    @Test func cancellingWakesTheReaderAndLosesNothing() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([partition: .beginning])
        _ = try await intake.next(maximumRecords: 10)
        for _ in 0..<50 {
            let reader = Task { try await intake.next(maximumRecords: 10) }
            await Task.yield()
            reader.cancel()
            let error = await #expect(throws: EventLogError.self) { _ = try await reader.value }
            #expect(error?.kind == .closed)
        }
        try await fill(cluster, 1)
        #expect(try await intake.records(1).count == 1)
        await consumer.close()
    }

    @Test func closingTheConsumerWakesItsReaders() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([partition: .beginning])
        let reader = Task { try await intake.records(1) }
        await consumer.close()
        let error = await #expect(throws: EventLogError.self) { _ = try await reader.value }
        #expect(error?.kind == .closed)
        let late = await #expect(throws: EventLogError.self) { _ = try await consumer.open([:]) }
        #expect(late?.kind == .closed)
    }

    @Test func aBrokerThatComesBackIsReadOn() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        try await fill(cluster, 3)
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([partition: .beginning])
        _ = try await intake.records(3)
        cluster.setBrokerIsUp(false)
        cluster.setBrokerIsUp(true)
        try await fill(cluster, 2)
        #expect(try await intake.records(2).map(\.offset) == [3, 4])
        await consumer.close()
    }

    @Test func aFullQueueIsFetchedOnAsSoonAsThereIsRoom() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        // Each of these batches fills the queue; librdkafka's own look at it, once a second, would take 10 s for all.
        for _ in 0..<10 { try await fill(cluster, 300) }
        let consumer = try PartitionConsumer(
            cluster.configuration(properties: ["queued.min.messages": "300", "fetch.message.max.bytes": "4000"]),
            isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([partition: .beginning])
        let start = ContinuousClock.now
        #expect(try await intake.records(3000, batch: 100).map(\.offset) == Array(0..<3000))
        #expect(.now - start < .seconds(4))
        await consumer.close()
    }
}
