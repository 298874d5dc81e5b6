// ListGroups: all groups, since version 4 only those in certain states if wanted.

struct ListGroupsRequest: WireRequest {
    typealias Response = ListGroupsResponse
    static let api = API(.listGroups, versions: 0...4, flexibleSince: 3)

    var states: [String] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.stringArray(&states, since: 4)
    }
}

struct ListGroupsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var groups: [ListedGroup] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.error(&error)
        try wire.array(&groups)
    }
}

struct ListedGroup: WireStructure {
    var groupID: String = ""
    var protocolType: String = ""
    var state: String = ""

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.string(&protocolType)
        try wire.string(&state, since: 4)
    }
}
