// DescribeCluster.

struct DescribeClusterRequest: WireRequest {
    typealias Response = DescribeClusterResponse
    static let api = API(.describeCluster, versions: 0...0, flexibleSince: 0)

    var includesAuthorizedOperations: Bool = false

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.bool(&includesAuthorizedOperations)
    }
}

struct DescribeClusterResponse: WireStructure {
    var throttleTimeMilliseconds: Int32 = 0
    var error: KafkaErrorCode = .none
    var errorMessage: String? = nil
    var clusterID: String = ""
    var controllerID: Int32 = 0
    var brokers: [DescribeClusterBroker] = []
    var authorizedOperations: Int32 = Int32.min

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&throttleTimeMilliseconds)
        try wire.error(&error)
        try wire.nullableString(&errorMessage)
        try wire.string(&clusterID)
        try wire.int32(&controllerID)
        try wire.array(&brokers)
        try wire.int32(&authorizedOperations)
    }
}

struct DescribeClusterBroker: WireStructure {
    var nodeID: Int32 = 0
    var host: String = ""
    var port: Int32 = 0
    var rack: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&nodeID)
        try wire.string(&host)
        try wire.int32(&port)
        try wire.nullableString(&rack)
    }
}
