import CRdKafka
import EventLog
import Foundation
import Logging
import Synchronization
import Testing

/// librdkafka's in-process cluster: good for plain produce and consume, groups, and injected errors. Its transactions
/// neither fence nor hide anything, so what rests on those is tested with a real broker.
final class MockCluster: @unchecked Sendable {
    // librdkafka's mock cluster locks itself; the handles are only destroyed in `deinit`.
    private let client: OpaquePointer
    private let cluster: OpaquePointer
    let bootstrapServers: String

    init(brokers: Int32 = 1) throws {
        var text = [CChar](repeating: 0, count: 512)
        client = try #require(rd_kafka_new(RD_KAFKA_PRODUCER, nil, &text, text.count))
        cluster = try #require(rd_kafka_mock_cluster_new(client, brokers))
        bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
    }

    deinit {
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy(client)
    }

    func configuration(_ clientID: String = "test", properties: [String: String] = [:]) -> KafkaConfiguration {
        KafkaConfiguration(bootstrapServers: bootstrapServers, clientID: clientID, properties: properties)
    }

    func createTopic(_ name: String, partitions: Int32) {
        rd_kafka_mock_topic_create(cluster, name, partitions, 1)
    }

    /// The next `count` requests of a kind are answered with an error.
    func failNext(_ count: Int, requests: Request, with code: rd_kafka_resp_err_t) {
        orchestra_mock_fail_requests(cluster, requests.rawValue, count, code)
    }

    /// Takes a broker away, or brings it back.
    func setBrokerIsUp(_ isUp: Bool, _ broker: Int32 = 1) {
        if isUp { rd_kafka_mock_broker_set_up(cluster, broker) } else { rd_kafka_mock_broker_set_down(cluster, broker) }
    }

    func setCoordinator(ofGroup group: String, broker: Int32) {
        rd_kafka_mock_coordinator_set(cluster, "group", group, broker)
    }

    func setRoundTripTime(milliseconds: Int32) {
        rd_kafka_mock_broker_set_rtt(cluster, 1, milliseconds)
    }

    /// Numbers of Kafka's protocol.
    enum Request: Int16 {
        case produce = 0
        case initProducerId = 22
        case addPartitionsToTxn = 24
        case endTxn = 26
    }
}

/// A logger that says nothing below `error`.
let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .error
    return logger
}()

/// Waits for a condition; fails the test when it does not come.
func eventually(
    _ what: String, within limit: Duration = .seconds(10), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        if ContinuousClock.now > deadline {
            Issue.record("\(what) did not happen within \(limit)")
            throw CancellationError()
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

extension Intake {
    /// Reads until `count` records have come.
    func records(_ count: Int, batch: Int = 1000) async throws -> [ConsumedRecord] {
        var records: [ConsumedRecord] = []
        while records.count < count {
            for case .record(let record) in try await next(maximumRecords: batch) { records.append(record) }
        }
        return records
    }
}

extension ProducerRecord {
    static func text(_ value: String, to topic: String, _ partition: Int32 = 0) -> ProducerRecord {
        ProducerRecord(topic: topic, partition: partition, key: nil, value: Array(value.utf8))
    }
}

extension ConsumedRecord {
    var text: String? { value.map { String(decoding: $0, as: UTF8.self) } }
}

/// The resident memory of this process in MB.
func residentMegabytes() throws -> Int {
    let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return (Int(pages[1]) ?? 0) * 4096 / 1_000_000
}
