// DeleteRecords: raises the start of logs.

struct DeleteRecordsRequest: WireRequest {
    typealias Response = DeleteRecordsResponse
    static let api = API(.deleteRecords, versions: 0...2, flexibleSince: 2)

    var topics: [DeleteRecordsTopic] = []
    var timeoutMilliseconds: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&topics)
        try wire.int32(&timeoutMilliseconds)
    }
}

struct DeleteRecordsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [DeleteRecordsTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&topics)
    }
}

struct DeleteRecordsTopic: WireStructure {
    var name: String = ""
    var partitions: [DeleteRecordsPartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct DeleteRecordsPartition: WireStructure {
    var index: Int32 = 0
    /// The first offset that stays; -1: the high watermark.
    var offset: Int64 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int64(&offset)
    }
}

struct DeleteRecordsTopicResult: WireStructure {
    var name: String = ""
    var partitions: [DeleteRecordsPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct DeleteRecordsPartitionResult: WireStructure {
    var index: Int32 = 0
    /// Where the log starts now; -1 with an error.
    var lowWatermark: Int64 = -1
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int64(&lowWatermark)
        try wire.error(&error)
    }
}
