import CRdKafka
import EventLog
import OrchestraCore
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ProducerTests {
    @Test func recordsComeBackAsTheyWereWritten() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 2)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        let headers = [
            RecordHeader(name: "a", value: [1, 0, 2]), RecordHeader(name: "a", value: []),
            RecordHeader(name: "ü", value: nil),
        ]
        let written = [
            ProducerRecord(topic: "t", partition: 1, key: [0, 255], value: [9], headers: headers),
            ProducerRecord(topic: "t", partition: 1, key: nil, value: []),
            ProducerRecord(topic: "t", partition: 1, key: [], value: nil),
        ]
        let offsets = try await producer.send(written).map { try $0.get() }
        #expect(offsets == [0, 1, 2])

        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([TopicPartition(topic: "t", partition: 1): .beginning])
        let read = try await intake.records(3)
        for (record, original) in zip(read, written) {
            #expect(record.key == original.key)
            #expect(record.value == original.value)
            #expect(record.headers == original.headers)
            #expect(record.timestamp.millisecondsSinceEpoch > 1_700_000_000_000)
        }
        #expect(read.map(\.offset) == offsets)
        await consumer.close()
        await producer.close(timeout: .seconds(5))
    }

    @Test func orderIsKeptAcrossBatches() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        for batch in 0..<20 {
            let records = (0..<100).map { ProducerRecord.text("\(batch * 100 + $0)", to: "t") }
            for result in await producer.send(records) { _ = try result.get() }
        }
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([TopicPartition(topic: "t", partition: 0): .beginning])
        #expect(try await intake.records(2000, batch: 7).map(\.text) == (0..<2000).map { "\($0)" })
        await consumer.close()
        await producer.close(timeout: .seconds(5))
    }

    @Test func aMegabyteTravels() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        let value = (0..<1_200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        _ = try await producer.send(ProducerRecord(topic: "t", partition: 0, key: [1], value: value))
        let consumer = try PartitionConsumer(cluster.configuration(), isolation: .readCommitted, logger: quiet)
        let intake = try await consumer.open([TopicPartition(topic: "t", partition: 0): .beginning])
        #expect(try await intake.records(1).first?.value == value)
        await consumer.close()
        await producer.close(timeout: .seconds(5))
    }

    @Test func tooLargeIsRefusedAtOnce() async throws {
        let cluster = try MockCluster()
        let producer = try Producer(
            cluster.configuration(properties: ["message.max.bytes": "2000"]), logger: quiet)
        let record = ProducerRecord(topic: "t", partition: 0, key: nil, value: [UInt8](repeating: 7, count: 5000))
        let error = await #expect(throws: EventLogError.self) { _ = try await producer.send(record) }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("5000 bytes for t[0]") == true)
        await producer.close(timeout: .seconds(5))
    }

    @Test func anUnknownPartitionIsTold() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        let error = await #expect(throws: EventLogError.self) {
            _ = try await producer.send(.text("x", to: "t", 5))
        }
        #expect(error?.kind == .unknownTopic)
        await producer.close(timeout: .seconds(5))
    }

    @Test func beyondItsBoundsItRefusesAtOnceAndLosesNothing() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(
            cluster.configuration(), bounds: Producer.Bounds(records: 50), logger: quiet)
        // Nothing is acknowledged while the batch is handed over.
        cluster.setRoundTripTime(milliseconds: 500)
        let outcomes = await producer.send((0..<80).map { .text("\($0)", to: "t") })
        cluster.setRoundTripTime(milliseconds: 0)
        #expect(outcomes.prefix(50).allSatisfy { (try? $0.get()) != nil })
        for outcome in outcomes.suffix(30) {
            guard case .failure(let error) = outcome else {
                Issue.record("more than the bound was taken")
                continue
            }
            #expect(error.kind == .queueFull)
        }
        // There is room again.
        _ = try await producer.send(.text("after", to: "t"))
        await producer.close(timeout: .seconds(5))
    }

    @Test func whatIsNotDecidedWhenItClosesFails() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        cluster.setBrokerIsUp(false)
        let sending = Task { await producer.send([.text("x", to: "t")]) }
        await Task.yield()
        await producer.close(timeout: .milliseconds(200))
        let error = await #expect(throws: EventLogError.self) { _ = try await sending.value[0].get() }
        #expect([.closed, .outcomeUnknown].contains(error?.kind))
        let late = await #expect(throws: EventLogError.self) { _ = try await producer.send(.text("y", to: "t")) }
        #expect(late?.kind == .closed)
    }

    @Test func aBrokerThatIsAwayTimesOutWithAnAddress() async throws {
        let configuration = KafkaConfiguration(
            bootstrapServers: "127.0.0.1:1", clientID: "test", properties: ["message.timeout.ms": "300"])
        let producer = try Producer(configuration, logger: quiet)
        let error = await #expect(throws: EventLogError.self) {
            _ = try await producer.send(.text("x", to: "t"))
        }
        #expect(error?.kind == .timedOut)
        #expect(error?.nextStep?.contains("127.0.0.1:1") == true)
        await producer.close(timeout: .zero)
    }

    @Test func repeatedErrorsOfTheBrokerDoNotDuplicate() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let producer = try Producer(cluster.configuration(), logger: quiet)
        _ = try await producer.send(.text("0", to: "t"))
        cluster.failNext(3, requests: .produce, with: RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS)
        let offsets = try await producer.send((1...10).map { .text("\($0)", to: "t") }).map { try $0.get() }
        #expect(offsets == Array(1...10))
        await producer.close(timeout: .seconds(5))
    }
}
