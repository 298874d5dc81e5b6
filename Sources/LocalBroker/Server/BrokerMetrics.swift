import Metrics

/// The broker's metrics, made once.
struct BrokerMetrics {
    let requests: [APIKey: Counter]
    let producedBytes = Counter(label: "orchestra_broker_produced_bytes_total")
    let producedRecords = Counter(label: "orchestra_broker_produced_records_total")
    let fetchedBytes = Counter(label: "orchestra_broker_fetched_bytes_total")
    let refusedBatches = Counter(label: "orchestra_broker_refused_batches_total")
    let refusedConnections = Counter(label: "orchestra_broker_refused_connections_total")
    let connections = Gauge(label: "orchestra_broker_connections")

    init() {
        requests = Dictionary(
            uniqueKeysWithValues: API.all.map { api in
                (api.key, Counter(label: "orchestra_broker_requests_total", dimensions: [("api", "\(api.key)")]))
            })
    }
}
