// OffsetCommit: stores how far a group has read.

struct OffsetCommitRequest: WireRequest {
    typealias Response = OffsetCommitResponse
    static let api = API(.offsetCommit, versions: 2...8, flexibleSince: 8)

    var groupID: String = ""
    var generation: Int32 = -1
    var memberID: String = ""
    var instanceID: String? = nil
    var retentionMilliseconds: Int64 = -1
    var topics: [OffsetCommitTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.int32(&generation)
        try wire.string(&memberID)
        try wire.nullableString(&instanceID, since: 7)
        try wire.int64(&retentionMilliseconds, since: 2, until: 4)
        try wire.array(&topics)
    }
}

struct OffsetCommitResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [OffsetCommitTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 3)
        try wire.array(&topics)
    }
}

struct OffsetCommitTopic: WireStructure {
    var name: String = ""
    var partitions: [OffsetCommitPartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetCommitPartition: WireStructure {
    var index: Int32 = 0
    var offset: Int64 = 0
    var leaderEpoch: Int32 = -1
    var metadata: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int64(&offset)
        try wire.int32(&leaderEpoch, since: 6)
        try wire.nullableString(&metadata)
    }
}

struct OffsetCommitTopicResult: WireStructure {
    var name: String = ""
    var partitions: [OffsetCommitPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetCommitPartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
    }
}
