// InitProducerId: an identity for an idempotent or transactional producer.

struct InitProducerIDRequest: WireRequest {
    typealias Response = InitProducerIDResponse
    static let api = API(.initProducerID, versions: 0...4, flexibleSince: 2)

    var transactionalID: String? = nil
    var transactionTimeoutMilliseconds: Int32 = 0
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.nullableString(&transactionalID)
        try wire.int32(&transactionTimeoutMilliseconds)
        try wire.int64(&producerID, since: 3)
        try wire.int16(&producerEpoch, since: 3)
    }
}

struct InitProducerIDResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.error(&error)
        try wire.int64(&producerID)
        try wire.int16(&producerEpoch)
    }
}
