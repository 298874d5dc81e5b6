// Metadata: brokers, topics and the leaders of their partitions.

struct MetadataRequest: WireRequest {
    typealias Response = MetadataResponse
    static let api = API(.metadata, versions: 0...12, flexibleSince: 9)

    var topics: [MetadataTopic]? = nil
    var allowsAutoTopicCreation: Bool = true
    var includesClusterAuthorizedOperations: Bool = false
    var includesTopicAuthorizedOperations: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.nullableArray(&topics)
        try wire.bool(&allowsAutoTopicCreation, since: 4)
        try wire.bool(&includesClusterAuthorizedOperations, since: 8, until: 10)
        try wire.bool(&includesTopicAuthorizedOperations, since: 8)
    }
}

struct MetadataResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var brokers: [MetadataBroker] = []
    var clusterID: String? = nil
    var controllerID: Int32 = 0
    var topics: [MetadataTopicResult] = []
    var clusterAuthorizedOperations: Int32 = Int32.min

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 3)
        try wire.array(&brokers)
        try wire.nullableString(&clusterID, since: 2)
        try wire.int32(&controllerID, since: 1)
        try wire.array(&topics)
        try wire.int32(&clusterAuthorizedOperations, since: 8, until: 10)
    }
}

struct MetadataTopic: WireStructure, Hashable {
    var topicID: TopicID = .zero
    var name: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.topicID(&topicID, since: 10)
        try wire.nullableString(&name)
    }
}

struct MetadataBroker: WireStructure {
    var nodeID: Int32 = 0
    var host: String = ""
    var port: Int32 = 0
    var rack: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&nodeID)
        try wire.string(&host)
        try wire.int32(&port)
        try wire.nullableString(&rack, since: 1)
    }
}

struct MetadataTopicResult: WireStructure {
    var error: KafkaErrorCode = .none
    var name: String? = nil
    var topicID: TopicID = .zero
    var isInternal: Bool = false
    var partitions: [MetadataPartition] = []
    var authorizedOperations: Int32 = Int32.min

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.nullableString(&name)
        try wire.topicID(&topicID, since: 10)
        try wire.bool(&isInternal, since: 1)
        try wire.array(&partitions)
        try wire.int32(&authorizedOperations, since: 8)
    }
}

struct MetadataPartition: WireStructure {
    var error: KafkaErrorCode = .none
    var index: Int32 = 0
    var leaderID: Int32 = 0
    var leaderEpoch: Int32 = 0
    var replicas: [Int32] = []
    var inSyncReplicas: [Int32] = []
    var offlineReplicas: [Int32] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.int32(&index)
        try wire.int32(&leaderID)
        try wire.int32(&leaderEpoch, since: 7)
        try wire.int32Array(&replicas)
        try wire.int32Array(&inSyncReplicas)
        try wire.int32Array(&offlineReplicas, since: 5)
    }
}
