import Logging
import OrchestraCore

// CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.

/// Why a topic was refused.
struct TopicRefusal: Error {
    var error: KafkaErrorCode
    var message: String
}

/// A topic that may be made.
struct TopicPlan {
    var name: String
    var partitionCount: Int32
    var configuration: TopicConfiguration
}

extension BrokerCore {
    func createTopics(_ request: CreateTopicsRequest, _ context: RequestContext) {
        var names: [String: Int] = [:]
        for topic in request.topics { names[topic.name, default: 0] += 1 }
        var response = CreateTopicsResponse()
        for topic in request.topics {
            guard names[topic.name] == 1 else {
                response.topics.append(
                    CreateTopicsResult(
                        name: topic.name, error: .invalidRequest, errorMessage: "the topic is named more than once"))
                continue
            }
            switch plan(topic) {
            case .failure(let refusal):
                response.topics.append(
                    CreateTopicsResult(name: topic.name, error: refusal.error, errorMessage: refusal.message))
            case .success(let plan):
                var result = CreateTopicsResult(
                    name: plan.name, partitionCount: plan.partitionCount, replicationFactor: 1,
                    configs: TopicConfiguration.definitions.map { definition in
                        CreatedTopicConfig(
                            name: definition.name, value: plan.configuration.value(definition.name),
                            source: plan.configuration.source(definition.name))
                    })
                if !request.validatesOnly { result.topicID = create(plan).topicID }
                response.topics.append(result)
            }
        }
        committer.whenDurable { context.respond(response, sizeHint: 1024) }
    }

    /// Checks everything about a topic to be made.
    func plan(_ topic: CreatableTopic) -> Result<TopicPlan, TopicRefusal> {
        func refused(_ error: KafkaErrorCode, _ message: String) -> Result<TopicPlan, TopicRefusal> {
            .failure(TopicRefusal(error: error, message: message))
        }
        guard TopicName.isValid(topic.name) else {
            return refused(
                .invalidTopic, "'\(topic.name)' is no topic name: allowed are 1 to 249 of a-z A-Z 0-9 . _ -")
        }
        guard catalog.byName[topic.name] == nil else {
            return refused(.topicAlreadyExists, "Topic '\(topic.name)' already exists.")
        }
        var count = topic.partitionCount == -1 ? configuration.defaultPartitionCount : topic.partitionCount
        if !topic.assignments.isEmpty {
            guard topic.partitionCount == -1, topic.replicationFactor == -1 else {
                return refused(.invalidRequest, "with an assignment neither count nor replication factor may be set")
            }
            let numbers = topic.assignments.map(\.partition).sorted()
            guard numbers == Array(0..<Int32(numbers.count)),
                topic.assignments.allSatisfy({ $0.brokerIDs == [Self.nodeID] })
            else {
                return refused(
                    .invalidReplicaAssignment, "each partition from 0 on must be assigned to broker \(Self.nodeID)")
            }
            count = Int32(numbers.count)
        } else if topic.replicationFactor != 1, topic.replicationFactor != -1 {
            return refused(
                .invalidReplicationFactor,
                "replication factor \(topic.replicationFactor) is impossible: there is one broker")
        }
        let limits = configuration.limits
        guard count >= 1, count <= limits.maximumPartitionsPerTopic else {
            return refused(
                .invalidPartitions, "\(count) partitions: allowed are 1 to \(limits.maximumPartitionsPerTopic)")
        }
        guard catalog.partitionCount + Int(count) <= limits.maximumPartitions else {
            return refused(.policyViolation, "the broker holds at most \(limits.maximumPartitions) partitions")
        }
        var values: [String: String] = [:]
        for config in topic.configs {
            guard let value = config.value else {
                return refused(.invalidConfig, "configuration \(config.name) has no value")
            }
            values[config.name] = value
        }
        do throws(TopicConfiguration.InvalidValue) {
            let configuration = try TopicConfiguration(values)
            return .success(TopicPlan(name: topic.name, partitionCount: count, configuration: configuration))
        } catch {
            return refused(.invalidConfig, error.message)
        }
    }

    /// Makes a topic; it is durable with the next commit.
    func create(_ plan: TopicPlan) -> Topic {
        let topicID = TopicID(high: .random(in: 1 ... .max), low: .random(in: 0 ... .max))
        let stored = catalog.create(
            name: plan.name, partitionCount: plan.partitionCount, configuration: plan.configuration, topicID: topicID)
        committer.write(.createTopic(stored))
        logger.info(
            "topic created", metadata: ["topic": "\(plan.name)", "partitions": "\(plan.partitionCount)"])
        guard let topic = catalog.byID[topicID] else {
            preconditionFailure("topic \(plan.name) is missing right after it was made")
        }
        return topic
    }

    func deleteTopics(_ request: DeleteTopicsRequest, _ context: RequestContext) {
        var response = DeleteTopicsResponse()
        for name in request.names {
            guard let topic = catalog.byName[name] else {
                response.results.append(DeleteTopicsResult(name: name, error: .unknownTopicOrPartition))
                continue
            }
            delete(topic)
            response.results.append(DeleteTopicsResult(name: name))
        }
        committer.whenDurable { context.respond(response) }
    }

    private func delete(_ topic: Topic) {
        apply(transactions.forget(topic: topic.name))
        apply(groups.forget(topic: topic.name))
        catalog.remove(topic)
        committer.write(.deleteTopic(id: topic.id, partitionIDs: topic.partitions.map(\.id)))
        for log in topic.partitions {
            // What has changed with the batches that are written together with the deletion would come after it.
            _ = log.ledger.drainChanges()
            for waiter in Array(log.waiters.values) { waiter.onProgress() }
        }
        logger.info("topic deleted", metadata: ["topic": "\(topic.name)"])
    }

    func createPartitions(_ request: CreatePartitionsRequest, _ context: RequestContext) {
        var response = CreatePartitionsResponse()
        for wanted in request.topics {
            var result = CreatePartitionsResult(name: wanted.name)
            if let refusal = grow(wanted, validatesOnly: request.validatesOnly) {
                result.error = refusal.error
                result.errorMessage = refusal.message
            }
            response.results.append(result)
        }
        committer.whenDurable { context.respond(response) }
    }

    private func grow(_ wanted: CreatePartitionsTopic, validatesOnly: Bool) -> TopicRefusal? {
        guard let topic = catalog.byName[wanted.name] else {
            return TopicRefusal(
                error: .unknownTopicOrPartition, message: "Topic '\(wanted.name)' does not exist.")
        }
        let count = Int32(topic.partitions.count)
        guard wanted.count > count else {
            return TopicRefusal(
                error: .invalidPartitions,
                message: "Topic '\(wanted.name)' has \(count) partitions already, \(wanted.count) were asked for")
        }
        let limits = configuration.limits
        guard wanted.count <= limits.maximumPartitionsPerTopic,
            catalog.partitionCount + Int(wanted.count - count) <= limits.maximumPartitions
        else {
            return TopicRefusal(error: .invalidPartitions, message: "\(wanted.count) partitions are too many")
        }
        if let assignments = wanted.assignments {
            guard assignments.count == Int(wanted.count - count),
                assignments.allSatisfy({ $0.brokerIDs == [Self.nodeID] })
            else {
                return TopicRefusal(
                    error: .invalidReplicaAssignment,
                    message: "each new partition must be assigned to broker \(Self.nodeID)")
            }
        }
        if !validatesOnly { committer.write(.createPartitions(catalog.grow(topic, to: wanted.count))) }
        return nil
    }

    /// DeleteRecords: the rows go in the next round of maintenance.
    func deleteRecords(_ request: DeleteRecordsRequest, _ context: RequestContext) {
        let response = DeleteRecordsResponse(
            topics: request.topics.map { topic in
                DeleteRecordsTopicResult(
                    name: topic.name,
                    partitions: topic.partitions.map { partition in
                        switch deleteRecords(of: topic.name, partition) {
                        case .success(let start):
                            DeleteRecordsPartitionResult(index: partition.index, lowWatermark: start)
                        case .failure(let error):
                            DeleteRecordsPartitionResult(index: partition.index, error: error)
                        }
                    })
            })
        committer.whenDurable { context.respond(response) }
    }

    /// - Returns: where the log starts now.
    private func deleteRecords(
        of name: String, _ partition: DeleteRecordsPartition
    ) -> Result<Int64, KafkaErrorCode> {
        guard let topic = catalog.byName[name], let log = catalog.log(name, partition.index) else {
            return .failure(.unknownTopicOrPartition)
        }
        // Of a compacted log the newest record of each key must stay.
        guard topic.configuration.deletesOldBatches else { return .failure(.policyViolation) }
        let offset = partition.offset == -1 ? log.highWatermark : partition.offset
        guard offset >= 0, offset <= log.highWatermark else { return .failure(.offsetOutOfRange) }
        if offset > log.logStartOffset { raiseStart(of: log, to: offset) }
        return .success(log.logStartOffset)
    }
}
