import Logging
import OrchestraCore

// AlterConfigs, IncrementalAlterConfigs: the settings of topics. The broker's own are fixed while it runs.

extension BrokerCore {
    func alterConfigs(_ request: AlterConfigsRequest, _ context: RequestContext) {
        let results = alter(request.resources.map { ($0.type, $0.name) }, validatesOnly: request.validatesOnly) {
            index, _ throws(TopicRefusal) in
            var values: [String: String] = [:]
            for config in request.resources[index].configs {
                guard let value = config.value else {
                    throw TopicRefusal(error: .invalidRequest, message: "configuration \(config.name) has no value")
                }
                values[config.name] = value
            }
            return values
        }
        committer.whenDurable { context.respond(AlterConfigsResponse(results: results)) }
    }

    func incrementalAlterConfigs(_ request: IncrementalAlterConfigsRequest, _ context: RequestContext) {
        let results = alter(request.resources.map { ($0.type, $0.name) }, validatesOnly: request.validatesOnly) {
            index, present throws(TopicRefusal) in
            try present.changed(by: request.resources[index].configs)
        }
        committer.whenDurable { context.respond(AlterConfigsResponse(results: results)) }
    }

    /// Changes the settings of topics, each for itself.
    ///
    /// - Parameter values: what is to be set for the resource of this index, from what it has now.
    private func alter(
        _ resources: [(type: Int8, name: String)], validatesOnly: Bool,
        to values: (Int, TopicConfiguration) throws(TopicRefusal) -> [String: String]
    ) -> [AlterConfigsResult] {
        var counts: [String: Int] = [:]
        for resource in resources { counts["\(resource.type) \(resource.name)", default: 0] += 1 }
        return resources.enumerated().map { index, resource in
            var result = AlterConfigsResult(type: resource.type, name: resource.name)
            do throws(TopicRefusal) {
                guard counts["\(resource.type) \(resource.name)"] == 1 else {
                    throw TopicRefusal(error: .invalidRequest, message: "the resource is named more than once")
                }
                let topic = try alterableTopic(resource.type, resource.name)
                let configuration = try TopicConfiguration(checking: try values(index, topic.configuration))
                if !validatesOnly { set(configuration, of: topic) }
            } catch {
                result.error = error.error
                result.errorMessage = error.message
            }
            return result
        }
    }

    private func alterableTopic(_ type: Int8, _ name: String) throws(TopicRefusal) -> Topic {
        switch type {
        case Self.topicResource:
            guard let topic = catalog.byName[name] else {
                throw TopicRefusal(error: .unknownTopicOrPartition, message: "Topic '\(name)' does not exist.")
            }
            return topic
        case Self.brokerResource:
            throw TopicRefusal(
                error: .invalidRequest, message: "the broker's settings are fixed while it runs; restart it with others"
            )
        default:
            throw TopicRefusal(error: .invalidRequest, message: "resource type \(type) has no configuration here")
        }
    }

    private func set(_ configuration: TopicConfiguration, of topic: Topic) {
        topic.configuration = configuration
        committer.write(.setTopicConfig(topicID: topic.id, configuration.values))
        // What maintenance found under the old settings no longer holds.
        for log in topic.partitions { log.forgetMaintenance() }
        logger.info("topic settings changed", metadata: ["topic": "\(topic.name)", "set": "\(configuration.values)"])
    }
}

extension TopicConfiguration {
    init(checking values: [String: String]) throws(TopicRefusal) {
        do throws(InvalidValue) {
            try self.init(values)
        } catch {
            throw TopicRefusal(error: .invalidConfig, message: error.message)
        }
    }

    /// The values that are set after the changes of IncrementalAlterConfigs.
    func changed(by changes: [IncrementalConfigChange]) throws(TopicRefusal) -> [String: String] {
        func refusal(_ message: String) -> TopicRefusal { TopicRefusal(error: .invalidRequest, message: message) }
        var result = values
        var seen: Set<String> = []
        for change in changes {
            guard seen.insert(change.name).inserted else {
                throw refusal("configuration \(change.name) is named more than once")
            }
            if change.operation == 1 {
                result[change.name] = nil
                continue
            }
            guard let value = change.value else { throw refusal("configuration \(change.name) has no value") }
            switch change.operation {
            case 0: result[change.name] = value
            case 2, 3:
                guard let present = items(of: change.name) else {
                    throw TopicRefusal(error: .invalidConfig, message: "configuration \(change.name) is no list")
                }
                let named = Self.items(of: value)
                let others = present.filter { !named.contains($0) }
                result[change.name] = (change.operation == 2 ? others + named : others).joined(separator: ",")
            default: throw refusal("operation \(change.operation) is unknown")
            }
        }
        return result
    }
}
