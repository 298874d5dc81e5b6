import CoreMetrics
import MetricsTestKit
import Testing

@testable import EventLog

struct StatisticsReporterTests {
    private func report(_ reporter: StatisticsReporter, _ json: String) {
        var json = json
        json.withUTF8 { reporter.report(UnsafeRawBufferPointer($0)) }
    }

    private func statistics(received: Int, lag: Int) -> String {
        """
        {"msg_cnt": 3, "msg_size": 300, "tx_bytes": 50, "rx_bytes": \(received), "brokers": {
          "127.0.0.1:9092/1": {"nodeid": 1, "rtt": {"p99": 2500}},
          "GroupCoordinator": {"nodeid": -1, "rtt": {"p99": 9999999}}
        }, "topics": {"t": {"partitions": {
          "0": {"desired": true, "fetchq_cnt": 7, "consumer_lag": \(lag)},
          "1": {"desired": false, "fetchq_cnt": 0, "consumer_lag": -1}
        }}}}
        """
    }

    @Test func lagQueuesTimesAndTrafficBecomeMetrics() throws {
        let metrics = TestMetrics()
        let reporter = StatisticsReporter(client: "c", isConsumer: true, factory: metrics)
        report(reporter, statistics(received: 1000, lag: 12))
        report(reporter, statistics(received: 1500, lag: 4))
        let client = ("client", "c")
        let partition = [client, ("topic", "t"), ("partition", "0")]
        #expect(try metrics.expectGauge("kafka.consumer.lag.records", partition).lastValue == 4)
        #expect(try metrics.expectGauge("kafka.consumer.queued.records", partition).lastValue == 7)
        #expect(try metrics.expectGauge("kafka.client.queued.bytes", [client]).lastValue == 300)
        #expect(try metrics.expectGauge("kafka.broker.rtt.seconds", [client, ("broker", "1")]).lastValue == 0.0025)
        #expect(try metrics.expectCounter("kafka.client.received.bytes", [client]).totalValue == 1500)
        #expect(try metrics.expectCounter("kafka.client.sent.bytes", [client]).totalValue == 50)
        #expect(metrics.recorders.filter { $0.label == "kafka.consumer.lag.records" }.count == 1)
    }

    @Test func aTextThatDoesNotParseIsDropped() {
        let metrics = TestMetrics()
        let reporter = StatisticsReporter(client: "c", isConsumer: true, factory: metrics)
        report(reporter, "{\"msg_cnt\": ")
        report(reporter, "[]")
        #expect(metrics.recorders.isEmpty)
    }
}
