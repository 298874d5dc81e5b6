package import EventLog

/// How an ``AgentWorker`` works.
package struct AgentWorkerConfiguration: Sendable {
    /// Names this worker in results and dead letters.
    package var nodeID: String
    package var kafka: KafkaConfiguration
    /// Functions, prompts and the model for every agent.
    package var kernel: Kernel
    /// How many tasks of each agent run at once. Default 8.
    package var concurrency: Int
    /// The static membership in the consumer groups: a worker that comes back with the same id gets its partitions back
    /// at once. Default: the node id. Two live workers must not share one.
    package var instanceID: String
    /// After this silence the group gives a worker's partitions to others. Default 10 s.
    package var sessionTimeout: Duration
    /// How long running tasks may go on after a graceful shutdown has begun. Default 10 s.
    package var shutdownGrace: Duration
    /// How long a revocation waits for running tasks. Default 1 s.
    package var revocationGrace: Duration
    /// The shortest time between two commits. Default 50 ms.
    package var commitInterval: Duration
    package var limits: TaskBoard.Limits
    /// How failed tasks are run again. Default: 3 runs in all, waits from 0.2 s to 5 s.
    package var retries: RetryPolicy
    /// The largest result, encoded. A larger one becomes a failed result. Default 768 KiB, so that a workflow can keep it in
    /// its state.
    package var maximumResultSize: Int
    package var tasksTopic = "agent-tasks"
    package var resultsTopic = "agent-results"
    package var deadLettersTopic = "orchestra.dead-letters"

    package init(
        nodeID: String, kafka: KafkaConfiguration, kernel: Kernel, concurrency: Int = 8, instanceID: String? = nil,
        sessionTimeout: Duration = .seconds(10), shutdownGrace: Duration = .seconds(10),
        revocationGrace: Duration = .seconds(1), commitInterval: Duration = .milliseconds(50),
        limits: TaskBoard.Limits = TaskBoard.Limits(), maximumResultSize: Int = 768 << 10
    ) {
        self.nodeID = nodeID
        self.kafka = kafka
        self.kernel = kernel
        self.concurrency = max(concurrency, 1)
        self.instanceID = instanceID ?? nodeID
        self.sessionTimeout = sessionTimeout
        self.shutdownGrace = shutdownGrace
        self.revocationGrace = revocationGrace
        self.commitInterval = commitInterval
        self.limits = limits
        self.maximumResultSize = maximumResultSize
        retries = RetryPolicy(maximumAttempts: 3, firstDelay: .milliseconds(200), maximumDelay: .seconds(5))
    }
}
