// OffsetForLeaderEpoch: where a leader epoch ends. A single node has one epoch, 0, which ends at the log's end.

struct OffsetForLeaderEpochRequest: WireRequest {
    typealias Response = OffsetForLeaderEpochResponse
    static let api = API(.offsetForLeaderEpoch, versions: 2...4, flexibleSince: 4)

    var replicaID: Int32 = -2
    var topics: [OffsetForLeaderTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&replicaID, since: 3)
        try wire.array(&topics)
    }
}

struct OffsetForLeaderEpochResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [OffsetForLeaderTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 2)
        try wire.array(&topics)
    }
}

struct OffsetForLeaderTopic: WireStructure {
    var name: String = ""
    var partitions: [OffsetForLeaderPartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetForLeaderPartition: WireStructure {
    var index: Int32 = 0
    var currentLeaderEpoch: Int32 = -1
    var leaderEpoch: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int32(&currentLeaderEpoch, since: 2)
        try wire.int32(&leaderEpoch)
    }
}

struct OffsetForLeaderTopicResult: WireStructure {
    var name: String = ""
    var partitions: [OffsetForLeaderPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetForLeaderPartitionResult: WireStructure {
    var error: KafkaErrorCode = .none
    var index: Int32 = 0
    var leaderEpoch: Int32 = -1
    var endOffset: Int64 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.int32(&index)
        try wire.int32(&leaderEpoch, since: 1)
        try wire.int64(&endOffset)
    }
}
