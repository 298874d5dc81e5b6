// AddOffsetsToTxn: offsets of this group will be part of the transaction.

struct AddOffsetsToTxnRequest: WireRequest {
    typealias Response = AddOffsetsToTxnResponse
    static let api = API(.addOffsetsToTxn, versions: 0...3, flexibleSince: 3)

    var transactionalID: String = ""
    var producerID: Int64 = 0
    var producerEpoch: Int16 = 0
    var groupID: String = ""

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.int64(&producerID)
        try wire.int16(&producerEpoch)
        try wire.string(&groupID)
    }
}

struct AddOffsetsToTxnResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.error(&error)
    }
}
