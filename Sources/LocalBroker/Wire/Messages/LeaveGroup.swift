// LeaveGroup: members leave a group.

struct LeaveGroupRequest: WireRequest {
    typealias Response = LeaveGroupResponse
    static let api = API(.leaveGroup, versions: 0...5, flexibleSince: 4)

    var groupID: String = ""
    var memberID: String = ""
    var members: [LeaveGroupMember] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.string(&memberID, until: 2)
        try wire.array(&members, since: 3)
    }
}

struct LeaveGroupResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var members: [LeaveGroupMemberResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.error(&error)
        try wire.array(&members, since: 3)
    }
}

struct LeaveGroupMember: WireStructure {
    var memberID: String = ""
    var instanceID: String? = nil
    var reason: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&memberID)
        try wire.nullableString(&instanceID)
        try wire.nullableString(&reason, since: 5)
    }
}

struct LeaveGroupMemberResult: WireStructure {
    var memberID: String = ""
    var instanceID: String? = nil
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&memberID)
        try wire.nullableString(&instanceID)
        try wire.error(&error)
    }
}
