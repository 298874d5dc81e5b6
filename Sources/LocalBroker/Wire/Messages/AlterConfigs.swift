// AlterConfigs: replaces all settings of topics; what is not named goes back to its default.

struct AlterConfigsRequest: WireRequest {
    typealias Response = AlterConfigsResponse
    static let api = API(.alterConfigs, versions: 0...2, flexibleSince: 2)

    var resources: [AlterConfigsResource] = []
    var validatesOnly: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&resources)
        try wire.bool(&validatesOnly)
    }
}

/// Also the answer of IncrementalAlterConfigs.
struct AlterConfigsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var results: [AlterConfigsResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&results)
    }
}

struct AlterConfigsResource: WireStructure {
    var type: Int8 = 0
    var name: String = ""
    var configs: [CreatableTopicConfig] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int8(&type)
        try wire.string(&name)
        try wire.array(&configs)
    }
}

struct AlterConfigsResult: WireStructure {
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil
    var type: Int8 = 0
    var name: String = ""

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.nullableString(&errorMessage)
        try wire.int8(&type)
        try wire.string(&name)
    }
}
