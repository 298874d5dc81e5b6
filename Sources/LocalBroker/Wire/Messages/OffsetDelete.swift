// OffsetDelete: forgets how far a group has read in some partitions.

struct OffsetDeleteRequest: WireRequest {
    typealias Response = OffsetDeleteResponse
    static let api = API(.offsetDelete, versions: 0...0, flexibleSince: .max)

    var groupID: String = ""
    var topics: [OffsetDeleteTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.array(&topics)
    }
}

struct OffsetDeleteResponse: WireStructure {
    var error: KafkaErrorCode = .none
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [OffsetCommitTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&topics)
    }
}

struct OffsetDeleteTopic: WireStructure {
    var name: String = ""
    var partitions: [OffsetDeletePartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetDeletePartition: WireStructure {
    var index: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
    }
}
