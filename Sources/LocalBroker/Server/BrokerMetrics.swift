import Metrics

/// The broker's metrics, made once.
struct BrokerMetrics {
    let requests: [APIKey: Counter]
    /// From the whole request to its answer.
    let latencies: [APIKey: Metrics.Timer]
    let receivedBytes = Counter(label: "orchestra_broker_received_bytes_total")
    let sentBytes = Counter(label: "orchestra_broker_sent_bytes_total")
    let producedBytes = Counter(label: "orchestra_broker_produced_bytes_total")
    let producedRecords = Counter(label: "orchestra_broker_produced_records_total")
    let fetchedBytes = Counter(label: "orchestra_broker_fetched_bytes_total")
    let refusedBatches = Counter(label: "orchestra_broker_refused_batches_total")
    let refusedConnections = Counter(label: "orchestra_broker_refused_connections_total")
    let connections = Gauge(label: "orchestra_broker_connections")

    let openTransactions = Gauge(label: "orchestra_broker_open_transactions")

    init() {
        requests = Dictionary(
            uniqueKeysWithValues: API.all.map { api in
                (api.key, Counter(label: "orchestra_broker_requests_total", dimensions: [("api", "\(api.key)")]))
            })
        latencies = Dictionary(
            uniqueKeysWithValues: API.all.map { api in
                (
                    api.key,
                    Metrics.Timer(label: "orchestra_broker_request_seconds", dimensions: [("api", "\(api.key)")])
                )
            })
    }
}

/// The metrics of the group commit.
struct CommitMetrics {
    let duration = Metrics.Timer(label: "orchestra_broker_commit_seconds")
    /// How many changes one SQLite transaction holds.
    let groupSize = Recorder(label: "orchestra_broker_commit_changes")
}
