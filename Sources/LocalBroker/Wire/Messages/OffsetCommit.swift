// OffsetCommit: stores how far a group has read.

struct OffsetCommitRequest: WireRequest, OffsetCommitLayout {
    typealias Response = OffsetCommitResponse
    static let api = API(.offsetCommit, versions: 2...8, flexibleSince: 8)
    static let leaderEpochSince: Int16 = 6

    var groupID: String = ""
    var generation: Int32 = -1
    var memberID: String = ""
    var instanceID: String? = nil
    var retentionMilliseconds: Int64 = -1
    var topics: [OffsetCommitTopic<Self>] = []

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
