import OrchestraCore

// ApiVersions, Metadata, DescribeCluster, FindCoordinator: one node is everything.

extension BrokerCore {
    func apiVersions(_: ApiVersionsRequest, _ context: RequestContext) {
        context.respond(apiVersions(error: .none), sizeHint: 512)
    }

    func apiVersions(error: KafkaErrorCode) -> ApiVersionsResponse {
        ApiVersionsResponse(
            error: error,
            apis: API.all.map { api in
                ApiVersionRange(
                    key: api.key.rawValue, minimumVersion: api.versions.lowerBound,
                    maximumVersion: api.versions.upperBound)
            })
    }

    private func broker(_ context: RequestContext) -> MetadataBroker {
        MetadataBroker(nodeID: Self.nodeID, host: host(for: context), port: Int32(advertisedPort))
    }

    /// What this client should connect to. A broker that listens on every address names the one that the client came
    /// by, unless it has been told a name.
    private func host(for context: RequestContext) -> String {
        if let advertised = configuration.advertisedHost { return advertised }
        guard ["0.0.0.0", "::", ""].contains(configuration.host) else { return configuration.host }
        return context.connection?.localHost ?? configuration.host
    }

    func metadata(_ request: MetadataRequest, _ context: RequestContext) {
        var response = MetadataResponse(
            brokers: [broker(context)], clusterID: clusterID, controllerID: Self.nodeID)
        // Version 0 cannot say null: there an empty list means all topics.
        if let wanted = request.topics, !(context.version == 0 && wanted.isEmpty) {
            let mayCreate = configuration.autoCreatesTopics && request.allowsAutoTopicCreation
            response.topics = wanted.withoutRepetitions.map { describe($0, mayCreate: mayCreate) }
        } else {
            response.topics = catalog.byName.values.sorted { $0.name < $1.name }.map(describe)
        }
        committer.whenDurable { context.respond(response, sizeHint: 64 + response.topics.count * 256) }
    }

    private func describe(_ wanted: MetadataTopic, mayCreate: Bool) -> MetadataTopicResult {
        guard let name = wanted.name else {
            guard let topic = catalog.byID[wanted.topicID] else {
                return MetadataTopicResult(error: .unknownTopicID, name: nil, topicID: wanted.topicID)
            }
            return describe(topic)
        }
        if let topic = catalog.byName[name] { return describe(topic) }
        guard TopicName.isValid(name) else { return MetadataTopicResult(error: .invalidTopic, name: name) }
        if mayCreate {
            let topic = CreatableTopic(name: name, partitionCount: -1, replicationFactor: -1)
            if case .success(let plan) = plan(topic) { return describe(create(plan)) }
        }
        return MetadataTopicResult(error: .unknownTopicOrPartition, name: name)
    }

    private func describe(_ topic: Topic) -> MetadataTopicResult {
        MetadataTopicResult(
            name: topic.name, topicID: topic.topicID,
            partitions: topic.partitions.map { log in
                MetadataPartition(
                    index: log.number, leaderID: Self.nodeID, leaderEpoch: RecordBatchHeader.leaderEpoch,
                    replicas: [Self.nodeID], inSyncReplicas: [Self.nodeID])
            })
    }

    func describeCluster(_: DescribeClusterRequest, _ context: RequestContext) {
        let broker = DescribeClusterBroker(
            nodeID: Self.nodeID, host: host(for: context), port: Int32(advertisedPort))
        context.respond(
            DescribeClusterResponse(clusterID: clusterID, controllerID: Self.nodeID, brokers: [broker]))
    }

    func findCoordinator(_ request: FindCoordinatorRequest, _ context: RequestContext) {
        let isKnownType = request.keyType == 0 || request.keyType == 1
        let error: KafkaErrorCode = isKnownType ? .none : .invalidRequest
        let message = isKnownType ? nil : "key type \(request.keyType) is unknown"
        let nodeID = isKnownType ? Self.nodeID : -1
        let host = isKnownType ? self.host(for: context) : ""
        let port = isKnownType ? Int32(advertisedPort) : -1
        context.respond(
            FindCoordinatorResponse(
                error: error, errorMessage: message, nodeID: nodeID, host: host, port: port,
                coordinators: request.keys.map {
                    FindCoordinatorResult(
                        key: $0, nodeID: nodeID, host: host, port: port, error: error, errorMessage: message)
                }))
    }
}
