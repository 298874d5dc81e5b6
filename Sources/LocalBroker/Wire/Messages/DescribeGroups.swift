// DescribeGroups: state and members of groups.

struct DescribeGroupsRequest: WireRequest {
    typealias Response = DescribeGroupsResponse
    static let api = API(.describeGroups, versions: 0...5, flexibleSince: 5)

    var groupIDs: [String] = []
    var includesAuthorizedOperations: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.stringArray(&groupIDs)
        try wire.bool(&includesAuthorizedOperations, since: 3)
    }
}

struct DescribeGroupsResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var groups: [DescribedGroup] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.array(&groups)
    }
}

struct DescribedGroup: WireStructure {
    var error: KafkaErrorCode = .none
    var groupID: String = ""
    var state: String = ""
    var protocolType: String = ""
    var protocolName: String = ""
    var members: [DescribedGroupMember] = []
    var authorizedOperations: Int32 = Int32.min

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.string(&groupID)
        try wire.string(&state)
        try wire.string(&protocolType)
        try wire.string(&protocolName)
        try wire.array(&members)
        try wire.int32(&authorizedOperations, since: 3)
    }
}

struct DescribedGroupMember: WireStructure {
    var memberID: String = ""
    var instanceID: String? = nil
    var clientID: String = ""
    var clientHost: String = ""
    var metadata: [UInt8] = []
    var assignment: [UInt8] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&memberID)
        try wire.nullableString(&instanceID, since: 4)
        try wire.string(&clientID)
        try wire.string(&clientHost)
        try wire.bytes(&metadata)
        try wire.bytes(&assignment)
    }
}
