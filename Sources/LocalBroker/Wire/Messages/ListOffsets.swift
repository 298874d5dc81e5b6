// ListOffsets: the offset of a time, or of the log's start (-2), its end (-1) or its largest timestamp (-3).

struct ListOffsetsRequest: WireRequest {
    typealias Response = ListOffsetsResponse
    static let api = API(.listOffsets, versions: 1...7, flexibleSince: 6)

    var replicaID: Int32 = -1
    var isolationLevel: Int8 = 0
    var topics: [ListOffsetsTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&replicaID)
        try wire.int8(&isolationLevel, since: 2)
        try wire.array(&topics)
    }
}

struct ListOffsetsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [ListOffsetsTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 2)
        try wire.array(&topics)
    }
}

struct ListOffsetsTopic: WireStructure {
    var name: String = ""
    var partitions: [ListOffsetsPartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct ListOffsetsPartition: WireStructure {
    var index: Int32 = 0
    var currentLeaderEpoch: Int32 = -1
    var timestamp: Int64 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int32(&currentLeaderEpoch, since: 4)
        try wire.int64(&timestamp)
    }
}

struct ListOffsetsTopicResult: WireStructure {
    var name: String = ""
    var partitions: [ListOffsetsPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct ListOffsetsPartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none
    var timestamp: Int64 = -1
    var offset: Int64 = -1
    var leaderEpoch: Int32 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
        try wire.int64(&timestamp)
        try wire.int64(&offset)
        try wire.int32(&leaderEpoch, since: 4)
    }
}
