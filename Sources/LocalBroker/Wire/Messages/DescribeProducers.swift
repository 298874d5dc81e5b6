// DescribeProducers: who has written to certain partitions, and whose transactions are open there.

struct DescribeProducersRequest: WireRequest {
    typealias Response = DescribeProducersResponse
    static let api = API(.describeProducers, versions: 0...0, flexibleSince: 0)

    var topics: [AddPartitionsToTxnTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&topics)
    }
}

struct DescribeProducersResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [DescribeProducersTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&topics)
    }
}

struct DescribeProducersTopicResult: WireStructure {
    var name: String = ""
    var partitions: [DescribeProducersPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct DescribeProducersPartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil
    var producers: [DescribedProducer] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
        try wire.nullableString(&errorMessage)
        try wire.array(&producers)
    }
}

struct DescribedProducer: WireStructure {
    var producerID: Int64 = -1
    var producerEpoch: Int32 = -1
    var lastSequence: Int32 = -1
    var lastTimestamp: Int64 = -1
    var coordinatorEpoch: Int32 = 0
    /// -1: no transaction is open.
    var transactionStartOffset: Int64 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int64(&producerID)
        try wire.int32(&producerEpoch)
        try wire.int32(&lastSequence)
        try wire.int64(&lastTimestamp)
        try wire.int32(&coordinatorEpoch)
        try wire.int64(&transactionStartOffset)
    }
}
