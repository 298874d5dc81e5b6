// DeleteTopics.

struct DeleteTopicsRequest: WireRequest {
    typealias Response = DeleteTopicsResponse
    static let api = API(.deleteTopics, versions: 0...5, flexibleSince: 4)

    var names: [String] = []
    var timeoutMilliseconds: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.stringArray(&names)
        try wire.int32(&timeoutMilliseconds)
    }
}

struct DeleteTopicsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var results: [DeleteTopicsResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.array(&results)
    }
}

struct DeleteTopicsResult: WireStructure {
    var name: String = ""
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.error(&error)
        try wire.nullableString(&errorMessage, since: 5)
    }
}
