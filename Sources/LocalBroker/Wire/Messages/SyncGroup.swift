// SyncGroup: the leader hands in the assignment of a generation, every member gets its own.

struct SyncGroupRequest: WireRequest {
    typealias Response = SyncGroupResponse
    static let api = API(.syncGroup, versions: 0...5, flexibleSince: 4)

    var groupID: String = ""
    var generation: Int32 = 0
    var memberID: String = ""
    var instanceID: String? = nil
    var protocolType: String? = nil
    var protocolName: String? = nil
    var assignments: [SyncGroupAssignment] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.int32(&generation)
        try wire.string(&memberID)
        try wire.nullableString(&instanceID, since: 3)
        try wire.nullableString(&protocolType, since: 5)
        try wire.nullableString(&protocolName, since: 5)
        try wire.array(&assignments)
    }
}

struct SyncGroupResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var protocolType: String? = nil
    var protocolName: String? = nil
    var assignment: [UInt8] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.error(&error)
        try wire.nullableString(&protocolType, since: 5)
        try wire.nullableString(&protocolName, since: 5)
        try wire.bytes(&assignment)
    }
}

struct SyncGroupAssignment: WireStructure {
    var memberID: String = ""
    var assignment: [UInt8] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&memberID)
        try wire.bytes(&assignment)
    }
}
