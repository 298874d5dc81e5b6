import Foundation
import Logging
import NIOCore
import OrchestraCore
import Testing

@testable import LocalBroker

/// A data folder that goes with the test.
struct TemporaryDirectory: ~Copyable {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("broker-\(UUID().uuidString)").path

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Runs a broker over `directory` while `body` runs; then stops it gracefully.
func withBroker(
    in directory: String, _ body: (_ port: Int, _ client: TestClient) async throws -> Void
) async throws {
    try await withBroker(in: directory, configure: { _ in }, body)
}

func withBroker(
    in directory: String, configure: (inout LocalBrokerConfiguration) -> Void,
    _ body: (_ port: Int, _ client: TestClient) async throws -> Void
) async throws {
    try await withBroker(in: directory, configure: configure) { (_: LocalBroker, port, client) in
        try await body(port, client)
    }
}

func withBroker(
    in directory: String, configure: (inout LocalBrokerConfiguration) -> Void,
    _ body: (_ broker: LocalBroker, _ port: Int, _ client: TestClient) async throws -> Void
) async throws {
    var configuration = LocalBrokerConfiguration(dataDirectory: directory)
    configure(&configuration)
    let broker = try LocalBroker(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await broker.run() }
        let port = try await broker.boundPort()
        let client = try await TestClient(port: port)
        do {
            try await body(broker, port, client)
        } catch {
            tasks.cancelAll()
            throw error
        }
        await client.close()
        tasks.cancelAll()
        try await tasks.waitForAll()
    }
}

/// Asks again and again until `condition` holds.
func eventually(
    _ what: String, within time: Duration = .seconds(10), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + time
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("not within \(time): \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

extension TestClient {
    func createTopic(_ name: String, partitions: Int32 = 1, _ settings: [String: String] = [:]) async throws {
        let response = try await call(
            CreateTopicsRequest(topics: [
                CreatableTopic(
                    name: name, partitionCount: partitions, replicationFactor: 1,
                    configs: settings.map { CreatableTopicConfig(name: $0.key, value: $0.value) })
            ]))
        #expect(response.topics.map(\.error) == [.none])
    }

    @discardableResult
    func produce(
        _ topic: String, _ batch: RecordBatch, partition: Int32 = 0, transactionalID: String? = nil
    ) async throws -> ProducePartitionResult {
        try await produce(topic, bytes: batch.bytes, partition: partition, transactionalID: transactionalID)
    }

    @discardableResult
    func produce(
        _ topic: String, bytes: [UInt8], partition: Int32 = 0, transactionalID: String? = nil
    ) async throws -> ProducePartitionResult {
        let response = try await call(
            ProduceRequest(topic: topic, bytes: bytes, partition: partition, transactionalID: transactionalID))
        return try #require(response.topics.first?.partitions.first)
    }

    func fetch(
        _ topic: String, from offset: Int64, partition: Int32 = 0, isCommitted: Bool = true, wait: Int32 = 0,
        maximumBytes: Int32 = 1 << 20
    ) async throws -> FetchPartitionResult {
        let response = try await call(
            FetchRequest(
                maximumWaitMilliseconds: wait, minimumBytes: 1, maximumBytes: maximumBytes,
                isolationLevel: isCommitted ? 1 : 0,
                topics: [
                    FetchTopic(
                        name: topic,
                        partitions: [
                            FetchPartition(index: partition, fetchOffset: offset, maximumBytes: maximumBytes)
                        ])
                ]))
        return try #require(response.topics.first?.partitions.first)
    }

    func listOffset(_ topic: String, _ timestamp: Int64, isCommitted: Bool = false) async throws -> Int64 {
        let response = try await call(
            ListOffsetsRequest(
                isolationLevel: isCommitted ? 1 : 0,
                topics: [
                    ListOffsetsTopic(name: topic, partitions: [ListOffsetsPartition(index: 0, timestamp: timestamp)])
                ]))
        return try #require(response.topics.first?.partitions.first?.offset)
    }

    /// Everything that a read_committed consumer would hand to its application, as "offset key=value".
    func readAll(_ topic: String, from start: Int64 = 0) async throws -> [String] {
        var position = start
        var found: [String] = []
        while true {
            let result = try await fetch(topic, from: position)
            guard result.error == .none, case .slice(let slice) = result.records, slice.readableBytes > 0 else {
                return found
            }
            let aborted = result.abortedTransactions ?? []
            for batch in TestRecord.batches(Array(slice.readableBytesView)) {
                position = batch.header.lastOffset + 1
                guard !batch.header.isControl,
                    !batch.header.isTransactional
                        || !batch.isAborted(by: aborted, markers: TestRecord.batches(Array(slice.readableBytesView)))
                else { continue }
                found += batch.records.map { "\($0.offset) \($0.key ?? "-")=\($0.value ?? "-")" }
            }
        }
    }
}

extension TestClient {
    /// Copies a data folder as the disk holds it at this moment, while its broker runs.
    func snapshot(of directory: String, to copy: String) async throws {
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        for suffix in ["", "-wal"] {
            let name = "/" + BrokerDatabase.fileName + suffix
            try FileManager.default.copyItem(atPath: directory + name, toPath: copy + name)
        }
    }
}

extension ProduceRequest {
    init(topic: String, _ batch: RecordBatch) {
        self.init(topic: topic, bytes: batch.bytes, partition: 0, transactionalID: nil)
    }

    init(topic: String, bytes: [UInt8], partition: Int32, transactionalID: String?) {
        self.init(
            transactionalID: transactionalID, acks: -1, timeoutMilliseconds: 1000,
            topics: [
                ProduceTopic(
                    name: topic, partitions: [ProducePartition(index: partition, records: .batches([bytes]))])
            ])
    }
}
