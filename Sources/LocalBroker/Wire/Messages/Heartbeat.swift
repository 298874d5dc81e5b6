// Heartbeat: a member of a group is alive.

struct HeartbeatRequest: WireRequest {
    typealias Response = HeartbeatResponse
    static let api = API(.heartbeat, versions: 0...4, flexibleSince: 4)

    var groupID: String = ""
    var generation: Int32 = 0
    var memberID: String = ""
    var instanceID: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&groupID)
        try wire.int32(&generation)
        try wire.string(&memberID)
        try wire.nullableString(&instanceID, since: 3)
    }
}

struct HeartbeatResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.error(&error)
    }
}
