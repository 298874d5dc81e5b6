// CreatePartitions: raises the partition count of topics.

struct CreatePartitionsRequest: WireRequest {
    typealias Response = CreatePartitionsResponse
    static let api = API(.createPartitions, versions: 0...3, flexibleSince: 2)

    var topics: [CreatePartitionsTopic] = []
    var timeoutMilliseconds: Int32 = 0
    var validatesOnly: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&topics)
        try wire.int32(&timeoutMilliseconds)
        try wire.bool(&validatesOnly)
    }
}

struct CreatePartitionsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var results: [CreatePartitionsResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&results)
    }
}

struct CreatePartitionsTopic: WireStructure {
    var name: String = ""
    var count: Int32 = 0
    var assignments: [CreatePartitionsAssignment]? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.int32(&count)
        try wire.nullableArray(&assignments)
    }
}

struct CreatePartitionsAssignment: WireStructure {
    var brokerIDs: [Int32] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32Array(&brokerIDs)
    }
}

struct CreatePartitionsResult: WireStructure {
    var name: String = ""
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.error(&error)
        try wire.nullableString(&errorMessage)
    }
}
