// TxnOffsetCommit: offsets that become visible when the transaction commits.

struct TxnOffsetCommitRequest: WireRequest, OffsetCommitLayout {
    typealias Response = TxnOffsetCommitResponse
    static let api = API(.txnOffsetCommit, versions: 0...3, flexibleSince: 3)
    static let leaderEpochSince: Int16 = 2

    var transactionalID: String = ""
    var groupID: String = ""
    var producerID: Int64 = 0
    var producerEpoch: Int16 = 0
    var generation: Int32 = -1
    var memberID: String = ""
    var instanceID: String? = nil
    var topics: [OffsetCommitTopic<Self>] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.string(&groupID)
        try wire.int64(&producerID)
        try wire.int16(&producerEpoch)
        try wire.int32(&generation, since: 3)
        try wire.string(&memberID, since: 3)
        try wire.nullableString(&instanceID, since: 3)
        try wire.array(&topics)
    }
}

struct TxnOffsetCommitResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [OffsetCommitTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&topics)
    }
}
