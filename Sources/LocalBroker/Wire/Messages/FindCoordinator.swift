// FindCoordinator: who coordinates a group (key type 0) or a transactional id (1).

struct FindCoordinatorRequest: WireRequest {
    typealias Response = FindCoordinatorResponse
    static let api = API(.findCoordinator, versions: 0...4, flexibleSince: 3)

    var key: String = ""
    var keyType: Int8 = 0
    var keys: [String] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&key, until: 3)
        try wire.int8(&keyType, since: 1)
        try wire.stringArray(&keys, since: 4)
    }
}

struct FindCoordinatorResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil
    var nodeID: Int32 = -1
    var host: String = ""
    var port: Int32 = -1
    var coordinators: [FindCoordinatorResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds, since: 1)
        try wire.error(&error, until: 3)
        try wire.nullableString(&errorMessage, since: 1, until: 3)
        try wire.int32(&nodeID, until: 3)
        try wire.string(&host, until: 3)
        try wire.int32(&port, until: 3)
        try wire.array(&coordinators, since: 4)
    }
}

struct FindCoordinatorResult: WireStructure {
    var key: String = ""
    var nodeID: Int32 = -1
    var host: String = ""
    var port: Int32 = -1
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&key)
        try wire.int32(&nodeID)
        try wire.string(&host)
        try wire.int32(&port)
        try wire.error(&error)
        try wire.nullableString(&errorMessage)
    }
}
