internal import Foundation
internal import Metrics
internal import Synchronization

/// Turns librdkafka's statistics (`statistics.interval.ms`, every 10 s by default) into metrics.
///
/// | metric | kind | dimensions |
/// |---|---|---|
/// | `kafka.client.queued.records`, `kafka.client.queued.bytes` | gauge | client |
/// | `kafka.client.sent.bytes`, `kafka.client.received.bytes` | counter | client |
/// | `kafka.broker.rtt.seconds` (99th percentile) | gauge | client, broker |
/// | `kafka.consumer.lag.records`, `kafka.consumer.queued.records` | gauge | client, topic, partition |
final class StatisticsReporter: Sendable {
    private struct Snapshot: Decodable {
        struct Window: Decodable {
            var p99: Int64
        }
        struct Broker: Decodable {
            var nodeid: Int32
            var rtt: Window?
        }
        struct Partition: Decodable {
            var consumerLag: Int64?
            var fetchqCnt: Int64?
            var desired: Bool?
        }
        struct Topic: Decodable {
            var partitions: [String: Partition]?
        }
        var msgCnt: Int64?
        var msgSize: Int64?
        var txBytes: Int64?
        var rxBytes: Int64?
        var brokers: [String: Broker]?
        var topics: [String: Topic]?
    }

    private struct Handlers {
        var gauges: [String: Gauge] = [:]
        var counters: [String: (counter: Counter, last: Int64)] = [:]
    }

    private let client: String
    private let isConsumer: Bool
    private let factory: any MetricsFactory
    private let handlers = Mutex(Handlers())

    /// - Parameters:
    ///   - client: a dimension of all its metrics.
    ///   - factory: makes the metrics; the process's own by default.
    init(client: String, isConsumer: Bool, factory: any MetricsFactory = MetricsSystem.factory) {
        self.client = client
        self.factory = factory
        self.isConsumer = isConsumer
    }

    func report(_ json: UnsafeRawBufferPointer) {
        // A text that does not parse is dropped: metrics must never stop the client.
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let snapshot = try? decoder.decode(Snapshot.self, from: Data(json)) else { return }
        handlers.withLock { handlers in
            set("kafka.client.queued.records", [], snapshot.msgCnt, &handlers)
            set("kafka.client.queued.bytes", [], snapshot.msgSize, &handlers)
            count("kafka.client.sent.bytes", snapshot.txBytes, &handlers)
            count("kafka.client.received.bytes", snapshot.rxBytes, &handlers)
            // Brokers with a negative id are bootstrap addresses and coordinators: the same connections again.
            for broker in (snapshot.brokers ?? [:]).values where broker.nodeid >= 0 {
                let gauge = gauge("kafka.broker.rtt.seconds", [("broker", "\(broker.nodeid)")], &handlers)
                if let rtt = broker.rtt { gauge.record(Double(rtt.p99) / 1_000_000) }
            }
            guard isConsumer else { return }
            for (topic, content) in snapshot.topics ?? [:] {
                for (partition, values) in content.partitions ?? [:] where values.desired == true {
                    let dimensions = [("topic", topic), ("partition", partition)]
                    set("kafka.consumer.queued.records", dimensions, values.fetchqCnt, &handlers)
                    // librdkafka says -1 while it does not know.
                    if let lag = values.consumerLag, lag >= 0 {
                        set("kafka.consumer.lag.records", dimensions, lag, &handlers)
                    }
                }
            }
        }
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)], _ handlers: inout Handlers) -> Gauge {
        let key = dimensions.reduce(label) { "\($0)|\($1.1)" }
        if let known = handlers.gauges[key] { return known }
        let gauge = Gauge(label: label, dimensions: [("client", client)] + dimensions, factory: factory)
        handlers.gauges[key] = gauge
        return gauge
    }

    private func set(
        _ label: String, _ dimensions: [(String, String)], _ value: Int64?, _ handlers: inout Handlers
    ) {
        guard let value else { return }
        gauge(label, dimensions, &handlers).record(value)
    }

    /// librdkafka counts from the start of the client; a counter wants the growth.
    private func count(_ label: String, _ total: Int64?, _ handlers: inout Handlers) {
        guard let total else { return }
        let known =
            handlers.counters[label]
            ?? (Counter(label: label, dimensions: [("client", client)], factory: factory), 0)
        if total > known.last { known.counter.increment(by: total - known.last) }
        handlers.counters[label] = (known.counter, max(total, known.last))
    }
}
