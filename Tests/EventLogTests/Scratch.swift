import EventLog
import Logging
import Testing
@Suite struct Scratch {
    @Test func abortThenWait() async throws {
        var logger = Logger(label: "x"); logger.logLevel = .debug
        let log = logger
        try await TestBroker.with { broker in
            try await broker.create(TopicSpecification(name: "t", partitions: 4))
            let producer = try TransactionalProducer(
                await broker.configuration(properties: ["debug": "eos,topic"]), transactionalID: "owner", transactionTimeout: .seconds(2), logger: log)
            try await producer.initialize(timeout: .seconds(10))
            for _ in 0..<3 {
                do {
                    try await producer.commit(TransactionBatch(records: [.text("lost", to: "t"), ProducerRecord(topic: "t", partition: 0, key: nil, value: [UInt8](repeating: 1, count: 5_000_000))], groupID: "g"))
                } catch { print("EXPECTED", error) }
                try await Task.sleep(for: .seconds(3))
                try await producer.commit(TransactionBatch(records: [.text("a", to: "t")], offsets: [TopicPartition(topic: "t", partition: 0): 3], groupID: "g"))
                print("COMMITTED")
            }
            await producer.close()
        }
    }
}
