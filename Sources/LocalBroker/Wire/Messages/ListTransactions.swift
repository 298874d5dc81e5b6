// ListTransactions: all transactional ids, or those in certain states, of certain producers, open for some time.

struct ListTransactionsRequest: WireRequest {
    typealias Response = ListTransactionsResponse
    static let api = API(.listTransactions, versions: 0...1, flexibleSince: 0)

    var states: [String] = []
    var producerIDs: [Int64] = []
    /// Only transactions that have been open for longer; negative: all.
    var durationMilliseconds: Int64 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.stringArray(&states)
        try wire.int64Array(&producerIDs)
        try wire.int64(&durationMilliseconds, since: 1)
    }
}

struct ListTransactionsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var unknownStates: [String] = []
    var transactions: [ListedTransaction] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.error(&error)
        try wire.stringArray(&unknownStates)
        try wire.array(&transactions)
    }
}

struct ListedTransaction: WireStructure {
    var transactionalID: String = ""
    var producerID: Int64 = -1
    var state: String = ""

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.int64(&producerID)
        try wire.string(&state)
    }
}
