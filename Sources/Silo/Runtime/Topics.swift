package import EventLog
package import OrchestraCore

/// The topics of a cluster.
package enum Topics {
    package static let workflowStartEvents = "workflow-start-events"
    package static let agentTasks = "agent-tasks"
    package static let agentResults = "agent-results"
    /// Durable commands from grain to grain.
    package static let commands = "orchestra.commands"
    /// The compacted changelog of all grains.
    package static let state = "orchestra.state"
    /// Records that could not be processed.
    package static let deadLetters = "orchestra.dead-letters"
    /// The silos' heartbeats: one partition, compacted.
    package static let silos = "orchestra.silos"

    /// All topics of the built-in flow that have the cluster's number of partitions.
    package static let builtIn = [workflowStartEvents, agentTasks, agentResults, commands, state, deadLetters]

    /// The largest record batch of topics that carry what the API accepts, in bytes: `max.message.bytes`.
    package static let maximumMessageSize = 4 << 20

    /// How long the changelog keeps tombstones, where the silo creates it.
    package static let tombstoneRetention = Duration.seconds(86_400)
    /// With less, a changelog could not be read safely.
    package static let leastTombstoneRetention = Duration.seconds(60)
    /// Its setting.
    package static let tombstoneRetentionName = "delete.retention.ms"

    /// How long the changelog keeps tombstones.
    ///
    /// - Parameter configuration: the topic's; what it does not say is taken to be what the silo sets.
    /// - Throws: ``OrchestraError`` with `badConfiguration` for less than ``leastTombstoneRetention``.
    package static func tombstoneRetention(
        in configuration: [String: String]
    ) throws(OrchestraError) -> Duration {
        guard let value = configuration[tombstoneRetentionName].flatMap({ Int64($0) }) else {
            return tombstoneRetention
        }
        // Beyond a year it makes no difference, and instants overflow.
        let retention = min(Duration.milliseconds(value), .seconds(365 * 86_400))
        guard retention >= leastTombstoneRetention else {
            throw OrchestraError(
                .badConfiguration,
                "\(tombstoneRetentionName) of the topic \(state) is \(value): deletions would be "
                    + "compacted away before silos have read them",
                nextStep: "set it to \(tombstoneRetention.wholeMilliseconds), or to "
                    + "\(leastTombstoneRetention.wholeMilliseconds) at least")
        }
        return retention
    }

    /// What the topics are created with when they do not exist.
    ///
    /// - Parameters:
    ///   - partitionCount: the cluster's number of partitions, the same for every topic.
    ///   - replicationFactor: copies of each partition; -1 leaves it to the broker.
    ///   - streams: topics of the application's own streams, besides the built-in ones.
    package static func specifications(
        partitionCount: Int32, replicationFactor: Int16 = 1, streams: Set<String> = []
    ) -> [TopicSpecification] {
        let day: Int64 = 86_400_000
        let size = String(maximumMessageSize)
        let events = ["cleanup.policy": "delete", "retention.ms": String(7 * day), "max.message.bytes": size]
        // Small segments, so that compaction soon gets at what was overwritten.
        let changelog = [
            "cleanup.policy": "compact", "segment.bytes": String(16 << 20), "segment.ms": String(day / 4),
            "min.cleanable.dirty.ratio": "0.3", "min.compaction.lag.ms": "60000",
            tombstoneRetentionName: String(tombstoneRetention.wholeMilliseconds), "max.message.bytes": size,
        ]
        let letters = ["cleanup.policy": "delete", "retention.ms": String(30 * day), "max.message.bytes": size]
        let heartbeats = [
            "cleanup.policy": "compact", "segment.bytes": String(1 << 20), "segment.ms": "600000",
            "min.cleanable.dirty.ratio": "0.3", tombstoneRetentionName: String(day),
        ]
        let partitioned = Set(builtIn).union(streams).sorted().map { name in
            let configuration = name == state ? changelog : name == deadLetters ? letters : events
            return TopicSpecification(
                name: name, partitions: partitionCount, replicationFactor: replicationFactor,
                configuration: configuration)
        }
        let single = TopicSpecification(
            name: silos, partitions: 1, replicationFactor: replicationFactor, configuration: heartbeats)
        return partitioned + [single]
    }

    /// Checks that every topic has the partitions that the cluster counts on: key → partition depends on it. Of
    /// ``silos``, the first partition is used.
    ///
    /// - Throws: ``OrchestraError`` with `badConfiguration`, naming the first topic that is missing or differs.
    package static func check(
        _ counts: [String: Int32], topics: [String], partitionCount: Int32
    ) throws(OrchestraError) {
        for topic in topics.sorted() {
            guard let count = counts[topic] else {
                throw OrchestraError(
                    .badConfiguration, "topic \(topic) does not exist and could not be created",
                    nextStep: "create it with \(partitionCount) partitions, or allow this client to")
            }
            guard count == partitionCount || topic == silos else {
                throw OrchestraError(
                    .badConfiguration, "topic \(topic) has \(count) partitions, the cluster expects \(partitionCount)",
                    nextStep: "start every node with \(count) partitions if all topics have as many, "
                        + "or use the topics of a new cluster: the count of a running one cannot change")
            }
        }
    }

    /// - Throws: ``OrchestraError`` with `badConfiguration` for a name that Kafka would refuse.
    package static func checkName(_ topic: String) throws(OrchestraError) {
        let allowed = topic.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, (1...249).contains(topic.utf8.count), topic != ".", topic != ".." else {
            throw OrchestraError(
                .badConfiguration, "\"\(topic)\" is no topic name",
                nextStep: "use 1 to 249 of the characters A-Z a-z 0-9 . _ -")
        }
    }
}
