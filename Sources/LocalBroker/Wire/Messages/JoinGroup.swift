// JoinGroup: enters a group's next generation; answered when all members have joined.

struct JoinGroupRequest: WireRequest {
    typealias Response = JoinGroupResponse
    static let api = API(.joinGroup, versions: 0...9, flexibleSince: 6)

    var groupID: String = ""
    var sessionTimeoutMilliseconds: Int32 = 0
    var rebalanceTimeoutMilliseconds: Int32 = -1
    var memberID: String = ""
    var instanceID: String? = nil
    var protocolType: String = ""
    var protocols: [JoinGroupProtocol] = []
    var reason: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.int32(&sessionTimeoutMilliseconds)
        try wire.int32(&rebalanceTimeoutMilliseconds, since: 1)
        try wire.string(&memberID)
        try wire.nullableString(&instanceID, since: 5)
        try wire.string(&protocolType)
        try wire.array(&protocols)
        try wire.nullableString(&reason, since: 8)
    }
}

struct JoinGroupResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var generation: Int32 = -1
    var protocolType: String? = nil
    var protocolName: String? = nil
    var leaderID: String = ""
    var skipAssignment: Bool = false
    var memberID: String = ""
    var members: [JoinGroupMember] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 2)
        try wire.error(&error)
        try wire.int32(&generation)
        try wire.nullableString(&protocolType, since: 7)
        try wire.nullableString(&protocolName)
        try wire.string(&leaderID)
        try wire.bool(&skipAssignment, since: 9)
        try wire.string(&memberID)
        try wire.array(&members)
    }
}

struct JoinGroupProtocol: WireStructure {
    var name: String = ""
    var metadata: [UInt8] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.bytes(&metadata)
    }
}

struct JoinGroupMember: WireStructure {
    var memberID: String = ""
    var instanceID: String? = nil
    var metadata: [UInt8] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&memberID)
        try wire.nullableString(&instanceID, since: 5)
        try wire.bytes(&metadata)
    }
}
