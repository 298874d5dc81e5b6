// IncrementalAlterConfigs: changes single settings of topics; what is not named stays.

struct IncrementalAlterConfigsRequest: WireRequest {
    typealias Response = AlterConfigsResponse
    static let api = API(.incrementalAlterConfigs, versions: 0...1, flexibleSince: 1)

    var resources: [IncrementalAlterConfigsResource] = []
    var validatesOnly: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&resources)
        try wire.bool(&validatesOnly)
    }
}

struct IncrementalAlterConfigsResource: WireStructure {
    var type: Int8 = 0
    var name: String = ""
    var configs: [IncrementalConfigChange] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int8(&type)
        try wire.string(&name)
        try wire.array(&configs)
    }
}

struct IncrementalConfigChange: WireStructure {
    var name: String = ""
    /// 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
    var operation: Int8 = 0
    var value: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.int8(&operation)
        try wire.nullableString(&value)
    }
}
