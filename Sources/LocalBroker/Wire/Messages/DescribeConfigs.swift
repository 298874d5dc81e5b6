// DescribeConfigs: configuration of topics (resource type 2) and of the broker (4).

struct DescribeConfigsRequest: WireRequest {
    typealias Response = DescribeConfigsResponse
    static let api = API(.describeConfigs, versions: 0...4, flexibleSince: 4)

    var resources: [DescribeConfigsResource] = []
    var includesSynonyms: Bool = false
    var includesDocumentation: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&resources)
        try wire.bool(&includesSynonyms, since: 1)
        try wire.bool(&includesDocumentation, since: 3)
    }
}

struct DescribeConfigsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var results: [DescribeConfigsResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&results)
    }
}

struct DescribeConfigsResource: WireStructure, Hashable {
    var type: Int8 = 0
    var name: String = ""
    var keys: [String]? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int8(&type)
        try wire.string(&name)
        try wire.nullableStringArray(&keys)
    }
}

struct DescribeConfigsResult: WireStructure {
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil
    var type: Int8 = 0
    var name: String = ""
    var configs: [DescribedConfig] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.nullableString(&errorMessage)
        try wire.int8(&type)
        try wire.string(&name)
        try wire.array(&configs)
    }
}

struct DescribedConfig: WireStructure {
    var name: String = ""
    var value: String? = nil
    var isReadOnly: Bool = false
    var isDefault: Bool = false
    var source: Int8 = -1
    var isSensitive: Bool = false
    var synonyms: [DescribedConfigSynonym] = []
    var type: Int8 = 0
    var documentation: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.nullableString(&value)
        try wire.bool(&isReadOnly)
        try wire.bool(&isDefault, until: 0)
        try wire.int8(&source, since: 1)
        try wire.bool(&isSensitive)
        try wire.array(&synonyms, since: 1)
        try wire.int8(&type, since: 3)
        try wire.nullableString(&documentation, since: 3)
    }
}

struct DescribedConfigSynonym: WireStructure {
    var name: String = ""
    var value: String? = nil
    var source: Int8 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.nullableString(&value)
        try wire.int8(&source)
    }
}
