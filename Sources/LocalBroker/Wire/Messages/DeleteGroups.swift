// DeleteGroups: removes empty groups with their offsets.

struct DeleteGroupsRequest: WireRequest {
    typealias Response = DeleteGroupsResponse
    static let api = API(.deleteGroups, versions: 0...2, flexibleSince: 2)

    var groupIDs: [String] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.stringArray(&groupIDs)
    }
}

struct DeleteGroupsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var results: [DeleteGroupsResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.array(&results)
    }
}

struct DeleteGroupsResult: WireStructure {
    var groupID: String = ""
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.error(&error)
    }
}
