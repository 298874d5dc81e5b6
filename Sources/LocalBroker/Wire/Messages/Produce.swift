// Produce: appends one record batch to each of several partitions. Versions 0 to 2 exist only because librdkafka decides by
// them whether it may compress (as in Apache Kafka 4); their message formats are refused per partition.

struct ProduceRequest: WireRequest {
    typealias Response = ProduceResponse
    static let api = API(.produce, versions: 0...9, flexibleSince: 9)

    var transactionalID: String? = nil
    var acks: Int16 = 0
    var timeoutMilliseconds: Int32 = 0
    var topics: [ProduceTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.nullableString(&transactionalID, since: 3)
        try wire.int16(&acks)
        try wire.int32(&timeoutMilliseconds)
        try wire.array(&topics)
    }
}

struct ProduceResponse: WireStructure {
    var topics: [ProduceTopicResult] = []
    var throttleTimeMilliseconds: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&topics)
        try wire.int32(&throttleTimeMilliseconds, since: 1)
    }
}

struct ProduceTopic: WireStructure {
    var name: String = ""
    var partitions: [ProducePartition] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct ProducePartition: WireStructure {
    var index: Int32 = 0
    var records: Records = .null

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.records(&records)
    }
}

struct ProduceTopicResult: WireStructure {
    var name: String = ""
    var partitions: [ProducePartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct ProducePartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none
    var baseOffset: Int64 = -1
    var logAppendTimeMilliseconds: Int64 = -1
    var logStartOffset: Int64 = -1
    var recordErrors: [ProduceRecordError] = []
    var errorMessage: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
        try wire.int64(&baseOffset)
        try wire.int64(&logAppendTimeMilliseconds, since: 2)
        try wire.int64(&logStartOffset, since: 5)
        try wire.array(&recordErrors, since: 8)
        try wire.nullableString(&errorMessage, since: 8)
    }
}

struct ProduceRecordError: WireStructure {
    var batchIndex: Int32 = 0
    var message: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&batchIndex)
        try wire.nullableString(&message)
    }
}
