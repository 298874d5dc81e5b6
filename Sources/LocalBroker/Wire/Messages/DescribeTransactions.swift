// DescribeTransactions: what certain transactional ids are doing.

struct DescribeTransactionsRequest: WireRequest {
    typealias Response = DescribeTransactionsResponse
    static let api = API(.describeTransactions, versions: 0...0, flexibleSince: 0)

    var transactionalIDs: [String] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.stringArray(&transactionalIDs)
    }
}

struct DescribeTransactionsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var transactions: [DescribedTransaction] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&transactions)
    }
}

struct DescribedTransaction: WireStructure {
    var error: KafkaErrorCode = .none
    var transactionalID: String = ""
    var state: String = ""
    var timeoutMilliseconds: Int32 = 0
    /// Milliseconds since 1970; -1: no transaction is open.
    var startTimeMilliseconds: Int64 = -1
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1
    var topics: [AddPartitionsToTxnTopic] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.string(&transactionalID)
        try wire.string(&state)
        try wire.int32(&timeoutMilliseconds)
        try wire.int64(&startTimeMilliseconds)
        try wire.int64(&producerID)
        try wire.int16(&producerEpoch)
        try wire.array(&topics)
    }
}
