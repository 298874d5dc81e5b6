package import EventLog
import OrchestraCore

/// What a silo is told at its start.
package struct SiloConfiguration: Sendable {
    /// The node's name: it stands in claims and dead letters.
    package var nodeID: String
    /// Tells a restarted node from its predecessor; grows with each start.
    package var generation: Int64
    package var kafka: KafkaConfiguration
    /// How many partitions every topic has. Default: 16.
    package var partitionCount: Int32 = 16
    /// Copies of each partition of the topics that the silo creates; -1 leaves it to the broker. Default: 1.
    package var replicationFactor: Int16 = 1
    package var workflows: [WorkflowDefinition] = [.summarize]
    /// How long a finished workflow can still be asked about. Default: 7 days.
    package var workflowRetention = Duration.seconds(7 * 86_400)
    /// Names the silos' consumer group, and begins their transactional ids; clusters that share a broker need different ones.
    /// Default: `orchestra.silo`.
    package var groupID = "orchestra.silo"
    /// After this the broker aborts a transaction whose silo is gone. Default: 10 s.
    package var transactionTimeout = Duration.seconds(10)
    /// How many partitions restore at a time. Default: 4.
    package var concurrentRestores = 4
    /// How many bytes of changelogs they read a second, all together; 0: as fast as they can. Default: 128 MiB.
    package var restoreRate = 128 << 20
    /// How many other silos follow each partition's changelog, to take over faster. Default: 1.
    package var standbys = 1
    /// How much more than its fair share of partitions a silo may own, as a fraction. Default: 0.25.
    package var placementSlack = 0.25
    /// How often the silo tells Kafka that it lives. Default: 1 s; more than half of ``ServingLease/duration`` makes queries
    /// wait.
    package var heartbeatInterval = Duration.seconds(1)
    /// How long a silo that leaves waits for others to take its partitions over. Default: 6 s.
    package var handOverTime = Duration.seconds(6)
    package var limits = GrainLimits()
    package var retries = RetryPolicy()
    package var clocks = Clocks.system
    /// How late deadlines, timers and the lease may be looked at; heartbeats and the placement five times as late.
    /// Default: 20 ms.
    package var tick = Duration.milliseconds(20)
    /// Spreads the repetitions of calls that wait for the same partition: a factor from 0.5 to 1. Default: random.
    package var jitter: @Sendable () -> Double = { Double.random(in: 0.5...1) }
    /// Where turns run. Default: where Swift runs them.
    package var executor: (any TaskExecutor)?

    /// Under this id the silo commits, and whoever initialises it fences the silo.
    package var transactionalID: String { "\(groupID).\(nodeID)" }

    package init(nodeID: String, generation: Int64, kafka: KafkaConfiguration) {
        self.nodeID = nodeID
        self.generation = generation
        self.kafka = kafka
    }
}
