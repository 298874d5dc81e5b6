import EventLog
import OrchestraCore
import Testing

/// What only a real broker shows: visibility, fencing, restarts, take-over.
@Suite(.timeLimit(.minutes(2)))
struct BrokerTests {
    private let partition = TopicPartition(topic: "t", partition: 0)
    private let topic = TopicSpecification(name: "t", partitions: 4)

    private func batch(_ values: String...) -> [ProducerRecord] { values.map { .text($0, to: "t") } }

    private func failure(_ producer: TransactionalProducer, _ batch: [ProducerRecord]) async -> EventLogError? {
        await #expect(throws: EventLogError.self) { try await producer.commit(batch) }
    }

    /// The text of all records up to the present end.
    private func all(_ broker: TestBroker, _ isolation: Isolation) async throws -> [String?] {
        let consumer = try PartitionConsumer(await broker.configuration(), isolation: isolation, logger: quiet)
        let intake = try await consumer.open([partition: .beginning])
        var texts: [String?] = []
        while true {
            for event in try await intake.next(maximumRecords: 1000) {
                switch event {
                case .record(let record): texts.append(record.text)
                case .endOfPartition:
                    await consumer.close()
                    return texts
                }
            }
        }
    }

    @Test func topicsAreCreatedOnceAndCounted() async throws {
        try await TestBroker.with { broker in
            let admin = try Admin(await broker.configuration(), logger: quiet)
            let compacted = TopicSpecification(
                name: "c", partitions: 2, replicationFactor: -1, configuration: ["cleanup.policy": "compact"])
            for _ in 0..<2 { try await admin.create([topic, compacted], timeout: .seconds(10)) }
            let counts = try await admin.partitionCounts(of: ["t", "c", "missing"], timeout: .seconds(10))
            #expect(counts == ["t": 4, "c": 2])
            let bad = TopicSpecification(name: "b", partitions: 1, configuration: ["cleanup.policy": "nonsense"])
            let error = await #expect(throws: EventLogError.self) {
                try await admin.create([bad], timeout: .seconds(10))
            }
            #expect(error?.kind == .badConfiguration)
            let producer = try Producer(await broker.configuration(), logger: quiet)
            for _ in 0..<3 { _ = try await producer.send(.text("x", to: "t")) }
            let (low, high) = try await admin.watermarks(of: partition, timeout: .seconds(10))
            #expect((low, high) == (0, 3))
            let unknown = await #expect(throws: EventLogError.self) {
                _ = try await admin.watermarks(of: TopicPartition(topic: "missing", partition: 0), timeout: .seconds(3))
            }
            #expect([.unknownTopic, .timedOut].contains(unknown?.kind))
            await producer.close(timeout: .seconds(5))
            await admin.close()
        }
    }

    @Test func theConfigurationOfATopicIsRead() async throws {
        try await TestBroker.with { broker in
            let admin = try Admin(await broker.configuration(), logger: quiet)
            let compacted = TopicSpecification(
                name: "c", partitions: 1, configuration: ["cleanup.policy": "compact", "delete.retention.ms": "123456"])
            try await admin.create([topic, compacted], timeout: .seconds(10))
            let names: Set = ["delete.retention.ms", "cleanup.policy", "no.such.setting"]
            let own = try await admin.configuration(of: "c", names, timeout: .seconds(10))
            #expect(own == ["delete.retention.ms": "123456", "cleanup.policy": "compact"])
            let defaults = try await admin.configuration(of: "t", names, timeout: .seconds(10))
            #expect(defaults == ["delete.retention.ms": "86400000", "cleanup.policy": "delete"])
            let unknown = await #expect(throws: EventLogError.self) {
                _ = try await admin.configuration(of: "missing", names, timeout: .seconds(10))
            }
            #expect(unknown?.kind == .unknownTopic)
            await admin.close()
        }
    }

    @Test func committedIsVisibleAndAbortedIsNot() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let producer = try TransactionalProducer(
                await broker.configuration(), transactionalID: "owner", logger: quiet)
            try await producer.initialize(timeout: .seconds(10))
            try await producer.commit(batch("a", "b"))
            var large = batch("lost")
            large.append(
                ProducerRecord(topic: "t", partition: 0, key: nil, value: [UInt8](repeating: 1, count: 5_000_000)))
            #expect(await failure(producer, large)?.kind == .tooLarge)
            let nowhere: [ProducerRecord] = [.text("lost", to: "t"), .text("lost", to: "nowhere")]
            #expect(await failure(producer, nowhere)?.kind == .unknownTopic)
            try await producer.commit(batch("c"))
            #expect(try await all(broker, .readCommitted) == ["a", "b", "c"])

            // The end of the partition counts control markers, which are never delivered.
            let consumer = try PartitionConsumer(
                await broker.configuration(), isolation: .readCommitted, logger: quiet)
            let intake = try await consumer.open([partition: .beginning])
            var end: Int64?
            while end == nil {
                for case .endOfPartition(_, let next) in try await intake.next(maximumRecords: 100) { end = next }
            }
            let admin = try Admin(await broker.configuration(), logger: quiet)
            #expect(end == (try await admin.watermarks(of: partition, timeout: .seconds(5)).high))
            await admin.close()
            await consumer.close()
            await producer.close()
        }
    }

    @Test func aGroupBeginsAtTheOffsetsThatItWasTold() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let writer = try GroupOffsetWriter(await broker.configuration(), groupID: "g", logger: quiet)
            for offset in [Int64(4), 9] {
                try await writer.commit(
                    [TopicPartition(topic: "t", partition: 3): offset, partition: 1], timeout: .seconds(10))
            }
            await writer.close()
            let member = try GroupConsumer(
                await broker.configuration(), groupID: "g", topics: ["t"], logger: quiet)
            let plain = try Producer(await broker.configuration(), logger: quiet)
            for index in 0..<12 { _ = try await plain.send(.text("\(index)", to: "t", 3)) }
            var first: Int64?
            while first == nil {
                for case .record(let record) in try await member.next(maximumRecords: 100)
                where record.topicPartition.partition == 3 && first == nil {
                    first = record.offset
                }
            }
            #expect(first == 9)
            await member.close()
            await plain.close(timeout: .seconds(5))
        }
    }

    @Test func theLastToInitializeIsTheOnlyOneThatCommits() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let old = try TransactionalProducer(await broker.configuration("old"), transactionalID: "o", logger: quiet)
            try await old.initialize(timeout: .seconds(10))
            try await old.commit(batch("old"))
            let new = try TransactionalProducer(await broker.configuration("new"), transactionalID: "o", logger: quiet)
            try await new.initialize(timeout: .seconds(10))
            let error = await failure(old, batch("zombie"))
            #expect(error?.kind == .fenced, "\(String(describing: error))")
            #expect(await failure(old, batch("zombie"))?.kind == .fenced)
            try await new.commit(batch("new"))
            #expect(try await all(broker, .readCommitted) == ["old", "new"])
            await old.close()
            await new.close()
        }
    }

    @Test func aBrokerThatRestartsIsWaitedForAndNothingIsLostOrDoubled() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let producer = try TransactionalProducer(
                await broker.configuration(), transactionalID: "owner", logger: quiet)
            try await producer.initialize(timeout: .seconds(10))
            let consumer = try PartitionConsumer(
                await broker.configuration(), isolation: .readCommitted, logger: quiet)
            let intake = try await consumer.open([partition: .beginning])
            async let restarts: Void = {
                for _ in 0..<3 {
                    try await broker.stop()
                    try await broker.start()
                }
            }()
            var expected: [String] = []
            for index in 0..<200 {
                try await producer.commit(batch("\(index)"))
                expected.append("\(index)")
            }
            try await restarts
            #expect(try await intake.records(200).map(\.text) == expected)
            await consumer.close()
            await producer.close()
        }
    }

    @Test func aSleepingReaderHearsOfARecordWithinMilliseconds() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let producer = try Producer(await broker.configuration(), logger: quiet)
            let consumer = try PartitionConsumer(
                await broker.configuration(), isolation: .readCommitted, logger: quiet)
            let intake = try await consumer.open([partition: .beginning])
            _ = try await producer.send(.text("warm", to: "t"))
            _ = try await intake.records(1)
            var latencies: [Duration] = []
            for index in 0..<100 {
                async let next = intake.records(1)
                let start = ContinuousClock.now
                async let sent = producer.send(.text("\(index)", to: "t"))
                #expect(try await next.first?.text == "\(index)")
                latencies.append(.now - start)
                _ = try await sent
            }
            latencies.sort()
            #expect(latencies[50] < .milliseconds(25), "median \(latencies[50])")
            await consumer.close()
            await producer.close(timeout: .seconds(5))
        }
    }

    @Test func partitionsMoveToANewMemberAndBack() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let log = Seen()
            let configuration = await broker.configuration()
            let first = try GroupConsumer(
                configuration, groupID: "g", topics: ["t"], sessionTimeout: .seconds(6), logger: quiet)
            try await withThrowingTaskGroup { group in
                group.addTask { await log.follow("first", first) }
                try await eventually("first has all") { await log.owned("first") == 4 }
                let second = try GroupConsumer(
                    configuration, groupID: "g", topics: ["t"], sessionTimeout: .seconds(6), logger: quiet)
                group.addTask { await log.follow("second", second) }
                try await eventually("both have two", within: .seconds(20)) {
                    let counts = await (log.owned("first"), log.owned("second"))
                    return counts == (2, 2)
                }
                let producer = try Producer(configuration, logger: quiet)
                for index in 0..<40 { _ = try await producer.send(.text("\(index)", to: "t", Int32(index % 4))) }
                try await eventually("all are read") { await log.count == 40 }
                await second.close()
                // It left; nobody waits for its session to end.
                try await eventually("first has all again", within: .seconds(5)) { await log.owned("first") == 4 }
                for index in 40..<80 { _ = try await producer.send(.text("\(index)", to: "t", Int32(index % 4))) }
                try await eventually("the rest is read") { await log.count == 80 }
                await first.close()
                await producer.close(timeout: .seconds(5))
                try await group.waitForAll()
            }
            #expect(await log.doubles == 0)
        }
    }

    @Test func aMemberThatDoesNotComeBackIsNotWaitedForEndlessly() async throws {
        try await TestBroker.with { broker in
            try await broker.create(topic)
            let configuration = await broker.configuration()
            let stuck = try GroupConsumer(
                configuration, groupID: "g", topics: ["t"], sessionTimeout: .seconds(6), logger: quiet)
            var owned = 0
            while owned < 4 {
                for case .assigned(let partitions) in try await stuck.next(maximumRecords: 1) {
                    owned += partitions.count
                }
            }
            let log = Seen()
            let second = try GroupConsumer(
                configuration, groupID: "g", topics: ["t"], sessionTimeout: .seconds(6), logger: quiet)
            try await withThrowingTaskGroup { group in
                group.addTask { await log.follow("second", second) }
                // The revocation is delivered, and the member never calls `next` again.
                var isRevoked = false
                while !isRevoked {
                    for case .revoked in try await stuck.next(maximumRecords: 1) { isRevoked = true }
                }
                try await eventually("the other gets its share", within: .seconds(15)) {
                    await log.owned("second") == 2
                }
                await second.close()
                try await group.waitForAll()
            }
            await stuck.close()
        }
    }

    @Test func aSlowReaderOfMegabytesKeepsTheMemorySmall() async throws {
        try await TestBroker.with { broker in
            try await broker.create(TopicSpecification(name: "m", partitions: 16))
            let producer = try Producer(await broker.configuration(), logger: quiet)
            let value = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 131) }
            for index in 0..<96 {
                _ = try await producer.send(
                    ProducerRecord(topic: "m", partition: Int32(index % 16), key: nil, value: value))
            }
            await producer.close(timeout: .seconds(5))
            let consumer = try PartitionConsumer(
                await broker.configuration(), isolation: .readCommitted, logger: quiet)
            let before = try residentMegabytes()
            let starts = (0..<16).map { (TopicPartition(topic: "m", partition: Int32($0)), StartOffset.beginning) }
            let intake = try await consumer.open(Dictionary(uniqueKeysWithValues: starts))
            var peak = 0
            var count = 0
            while count < 96 {
                for case .record(let record) in try await intake.next(maximumRecords: 1) {
                    #expect(record.value?.count == value.count)
                    count += 1
                    // A slow reader: librdkafka has all the time that it wants to read ahead.
                    try await Task.sleep(for: .milliseconds(10))
                    peak = max(peak, try residentMegabytes())
                }
            }
            #expect(peak - before < 100, "\(before) MB before, \(peak) MB at most")
            await consumer.close()
        }
    }
}

/// What members of a group saw.
private actor Seen {
    private var partitions: [String: Set<TopicPartition>] = [:]
    private var offsets: Set<[Int64]> = []
    private(set) var doubles = 0

    var count: Int { offsets.count }

    func owned(_ member: String) -> Int { partitions[member, default: []].count }

    private func note(_ event: GroupEvent, _ member: String) {
        switch event {
        case .assigned(let new): partitions[member, default: []].formUnion(new)
        case .revoked(let old), .lost(let old): partitions[member, default: []].subtract(old)
        case .record(let record):
            let isNew = offsets.insert([Int64(record.topicPartition.partition), record.offset]).inserted
            if !isNew { doubles += 1 }
        }
    }

    /// Reads and commits until the member is closed.
    nonisolated func follow(_ name: String, _ member: GroupConsumer) async {
        do {
            while true {
                var next: [TopicPartition: Int64] = [:]
                for event in try await member.next(maximumRecords: 10) {
                    await note(event, name)
                    if case .record(let record) = event { next[record.topicPartition] = record.offset + 1 }
                }
                try await member.commit(next)
            }
        } catch {
            if error.kind != .closed { Issue.record("\(name): \(error)") }
        }
    }
}
