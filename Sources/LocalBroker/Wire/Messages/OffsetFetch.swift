// OffsetFetch: how far a group has read; since version 8 for several groups.

struct OffsetFetchRequest: WireRequest {
    typealias Response = OffsetFetchResponse
    static let api = API(.offsetFetch, versions: 1...8, flexibleSince: 6)

    var groupID: String = ""
    var topics: [OffsetFetchTopic]? = nil
    var groups: [OffsetFetchGroup] = []
    var requiresStable: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID, until: 7)
        try wire.nullableArray(&topics, until: 7)
        try wire.array(&groups, since: 8)
        try wire.bool(&requiresStable, since: 7)
    }
}

struct OffsetFetchResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [OffsetFetchTopicResult] = []
    var error: KafkaErrorCode = .none
    var groups: [OffsetFetchGroupResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 3)
        try wire.array(&topics, until: 7)
        try wire.error(&error, since: 2, until: 7)
        try wire.array(&groups, since: 8)
    }
}

struct OffsetFetchTopic: WireStructure {
    var name: String = ""
    var partitions: [Int32] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.int32Array(&partitions)
    }
}

struct OffsetFetchGroup: WireStructure {
    var groupID: String = ""
    var topics: [OffsetFetchTopic]? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.nullableArray(&topics)
    }
}

struct OffsetFetchTopicResult: WireStructure {
    var name: String = ""
    var partitions: [OffsetFetchPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetFetchPartitionResult: WireStructure {
    var index: Int32 = 0
    var offset: Int64 = -1
    var leaderEpoch: Int32 = -1
    var metadata: String? = nil
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int64(&offset)
        try wire.int32(&leaderEpoch, since: 5)
        try wire.nullableString(&metadata)
        try wire.error(&error)
    }
}

struct OffsetFetchGroupResult: WireStructure {
    var groupID: String = ""
    var topics: [OffsetFetchTopicResult] = []
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.array(&topics)
        try wire.error(&error)
    }
}
