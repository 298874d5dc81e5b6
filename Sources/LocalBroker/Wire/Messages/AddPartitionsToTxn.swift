// AddPartitionsToTxn: the next batches of a transaction go to these partitions.

struct AddPartitionsToTxnRequest: WireRequest {
    typealias Response = AddPartitionsToTxnResponse
    static let api = API(.addPartitionsToTxn, versions: 0...3, flexibleSince: 3)

    var transactionalID: String = ""
    var producerID: Int64 = 0
    var producerEpoch: Int16 = 0
    var topics: [AddPartitionsToTxnTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.int64(&producerID)
        try wire.int16(&producerEpoch)
        try wire.array(&topics)
    }
}

struct AddPartitionsToTxnResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var topics: [AddPartitionsToTxnTopicResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&topics)
    }
}

struct AddPartitionsToTxnTopic: WireStructure {
    var name: String = ""
    var partitions: [Int32] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.int32Array(&partitions)
    }
}

struct AddPartitionsToTxnTopicResult: WireStructure {
    var name: String = ""
    var partitions: [AddPartitionsToTxnPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct AddPartitionsToTxnPartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
    }
}
