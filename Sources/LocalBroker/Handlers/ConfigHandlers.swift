// DescribeConfigs.

extension TopicConfiguration {
    /// Kafka's config source: 1 set for the topic, 5 the default.
    func source(_ name: String) -> Int8 { values[name] == nil ? 5 : 1 }
}

extension TopicConfiguration.Kind {
    /// Kafka's config type numbers.
    var number: Int8 {
        switch self {
        case .bool: 1
        case .choice: 2
        case .int64: 5
        case .ratio: 6
        case .list: 7
        }
    }
}

extension BrokerCore {
    static let topicResource: Int8 = 2
    static let brokerResource: Int8 = 4

    func describeConfigs(_ request: DescribeConfigsRequest, _ context: RequestContext) {
        var response = DescribeConfigsResponse()
        for resource in request.resources.withoutRepetitions {
            var result = DescribeConfigsResult(type: resource.type, name: resource.name)
            switch resource.type {
            case Self.topicResource:
                if let topic = catalog.byName[resource.name] {
                    result.configs = describe(topic.configuration, keys: resource.keys)
                } else if TopicName.isValid(resource.name) {
                    result.error = .unknownTopicOrPartition
                } else {
                    result.error = .invalidTopic
                }
            case Self.brokerResource:
                if resource.name.isEmpty || resource.name == "\(Self.nodeID)" {
                    result.configs = brokerConfigs(keys: resource.keys)
                } else {
                    result.error = .invalidRequest
                    result.errorMessage = "there is only broker \(Self.nodeID)"
                }
            default:
                result.error = .invalidRequest
                result.errorMessage = "resource type \(resource.type) has no configuration here"
            }
            response.results.append(result)
        }
        committer.whenDurable { context.respond(response, sizeHint: 2048) }
    }

    private func describe(_ configuration: TopicConfiguration, keys: [String]?) -> [DescribedConfig] {
        let wanted = keys.map(Set.init)
        return TopicConfiguration.definitions.filter { wanted?.contains($0.name) ?? true }.map { definition in
            let source = configuration.source(definition.name)
            var synonyms = [
                DescribedConfigSynonym(name: definition.name, value: definition.defaultValue, source: 5)
            ]
            if source == 1 {
                let value = configuration.value(definition.name)
                synonyms.insert(DescribedConfigSynonym(name: definition.name, value: value, source: 1), at: 0)
            }
            return DescribedConfig(
                name: definition.name, value: configuration.value(definition.name), isDefault: source == 5,
                source: source, synonyms: synonyms, type: definition.kind.number,
                documentation: definition.documentation)
        }
    }

    private func brokerConfigs(keys: [String]?) -> [DescribedConfig] {
        let wanted = keys.map(Set.init)
        let values: [(String, String, Int8)] = [
            ("auto.create.topics.enable", "\(configuration.autoCreatesTopics)", 1),
            ("broker.id", "\(Self.nodeID)", 3),
            ("default.replication.factor", "1", 3),
            ("num.partitions", "\(configuration.defaultPartitionCount)", 3),
            ("socket.request.max.bytes", "\(configuration.limits.maximumRequestBytes)", 3),
        ]
        return values.filter { wanted?.contains($0.0) ?? true }.map { name, value, type in
            DescribedConfig(name: name, value: value, isReadOnly: true, source: 4, type: type)
        }
    }
}
