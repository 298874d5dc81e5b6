// EndTxn: commits or aborts a transaction.

struct EndTxnRequest: WireRequest {
    typealias Response = EndTxnResponse
    static let api = API(.endTxn, versions: 0...3, flexibleSince: 3)

    var transactionalID: String = ""
    var producerID: Int64 = 0
    var producerEpoch: Int16 = 0
    var commits: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.int64(&producerID)
        try wire.int16(&producerEpoch)
        try wire.bool(&commits)
    }
}

struct EndTxnResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.error(&error)
    }
}
