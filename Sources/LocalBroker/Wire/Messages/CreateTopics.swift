// CreateTopics.

struct CreateTopicsRequest: WireRequest {
    typealias Response = CreateTopicsResponse
    static let api = API(.createTopics, versions: 0...7, flexibleSince: 5)

    var topics: [CreatableTopic] = []
    var timeoutMilliseconds: Int32 = 0
    var validatesOnly: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&topics)
        try wire.int32(&timeoutMilliseconds)
        try wire.bool(&validatesOnly, since: 1)
    }
}

struct CreateTopicsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [CreateTopicsResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 2)
        try wire.array(&topics)
    }
}

struct CreatableTopic: WireStructure {
    var name: String = ""
    var partitionCount: Int32 = 0
    var replicationFactor: Int16 = 0
    var assignments: [CreatableReplicaAssignment] = []
    var configs: [CreatableTopicConfig] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.int32(&partitionCount)
        try wire.int16(&replicationFactor)
        try wire.array(&assignments)
        try wire.array(&configs)
    }
}

struct CreatableReplicaAssignment: WireStructure {
    var partition: Int32 = 0
    var brokerIDs: [Int32] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&partition)
        try wire.int32Array(&brokerIDs)
    }
}

struct CreatableTopicConfig: WireStructure {
    var name: String = ""
    var value: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.nullableString(&value)
    }
}

struct CreateTopicsResult: WireStructure {
    var name: String = ""
    var topicID: TopicID = .zero
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil
    var partitionCount: Int32 = -1
    var replicationFactor: Int16 = -1
    var configs: [CreatedTopicConfig]? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.topicID(&topicID, since: 7)
        try wire.error(&error)
        try wire.nullableString(&errorMessage, since: 1)
        try wire.int32(&partitionCount, since: 5)
        try wire.int16(&replicationFactor, since: 5)
        try wire.nullableArray(&configs, since: 5)
    }
}

struct CreatedTopicConfig: WireStructure {
    var name: String = ""
    var value: String? = nil
    var isReadOnly: Bool = false
    var source: Int8 = -1
    var isSensitive: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.nullableString(&value)
        try wire.bool(&isReadOnly)
        try wire.int8(&source)
        try wire.bool(&isSensitive)
    }
}
