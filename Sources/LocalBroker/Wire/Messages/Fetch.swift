// Fetch: reads record batches of several partitions, waiting for some to arrive if wanted. Fetch sessions (since version 7) are
// never granted: the answer's session id is always 0, so clients send full requests.

struct FetchRequest: WireRequest {
    typealias Response = FetchResponse
    static let api = API(.fetch, versions: 4...12, flexibleSince: 12)

    var replicaID: Int32 = -1
    var maximumWaitMilliseconds: Int32 = 0
    var minimumBytes: Int32 = 0
    var maximumBytes: Int32 = Int32.max
    var isolationLevel: Int8 = 0
    var sessionID: Int32 = 0
    var sessionEpoch: Int32 = -1
    var topics: [FetchTopic] = []
    var forgottenTopics: [FetchForgottenTopic] = []
    var rackID: String = ""

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&replicaID)
        try wire.int32(&maximumWaitMilliseconds)
        try wire.int32(&minimumBytes)
        try wire.int32(&maximumBytes, since: 3)
        try wire.int8(&isolationLevel, since: 4)
        try wire.int32(&sessionID, since: 7)
        try wire.int32(&sessionEpoch, since: 7)
        try wire.array(&topics)
        try wire.array(&forgottenTopics, since: 7)
        try wire.string(&rackID, since: 11)
    }
}

struct FetchResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var sessionID: Int32 = 0
    var topics: [FetchTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.error(&error, since: 7)
        try wire.int32(&sessionID, since: 7)
        try wire.array(&topics)
    }
}

struct FetchTopic: WireStructure {
    var name: String = ""
    var partitions: [FetchPartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct FetchPartition: WireStructure {
    var index: Int32 = 0
    var currentLeaderEpoch: Int32 = -1
    var fetchOffset: Int64 = 0
    var lastFetchedEpoch: Int32 = -1
    var logStartOffset: Int64 = -1
    var maximumBytes: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int32(&currentLeaderEpoch, since: 9)
        try wire.int64(&fetchOffset)
        try wire.int32(&lastFetchedEpoch, since: 12)
        try wire.int64(&logStartOffset, since: 5)
        try wire.int32(&maximumBytes)
    }
}

struct FetchForgottenTopic: WireStructure {
    var name: String = ""
    var partitions: [Int32] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.int32Array(&partitions)
    }
}

struct FetchTopicResult: WireStructure {
    var name: String = ""
    var partitions: [FetchPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct FetchPartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none
    var highWatermark: Int64 = -1
    var lastStableOffset: Int64 = -1
    var logStartOffset: Int64 = -1
    var abortedTransactions: [FetchAbortedTransaction]? = nil
    var preferredReadReplica: Int32 = -1
    var records: Records = .null

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
        try wire.int64(&highWatermark)
        try wire.int64(&lastStableOffset, since: 4)
        try wire.int64(&logStartOffset, since: 5)
        try wire.nullableArray(&abortedTransactions, since: 4)
        try wire.int32(&preferredReadReplica, since: 11)
        try wire.records(&records)
    }
}

struct FetchAbortedTransaction: WireStructure {
    var producerID: Int64 = 0
    var firstOffset: Int64 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int64(&producerID)
        try wire.int64(&firstOffset)
    }
}
