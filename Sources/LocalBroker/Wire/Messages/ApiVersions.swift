// ApiVersions: what the broker speaks. Its response header is never flexible, so that any client can read it.

struct ApiVersionsRequest: WireRequest {
    typealias Response = ApiVersionsResponse
    static let api = API(.apiVersions, versions: 0...3, flexibleSince: 3)

    var clientSoftwareName: String = ""
    var clientSoftwareVersion: String = ""

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&clientSoftwareName, since: 3)
        try wire.string(&clientSoftwareVersion, since: 3)
    }
}

struct ApiVersionsResponse: WireStructure {
    var error: KafkaErrorCode = .none
    var apis: [ApiVersionRange] = []
    var throttleTimeMilliseconds: Int32 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.error(&error)
        try wire.array(&apis)
        try wire.int32(&throttleTimeMilliseconds, since: 1)
    }
}

struct ApiVersionRange: WireStructure {
    var key: Int16 = 0
    var minimumVersion: Int16 = 0
    var maximumVersion: Int16 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int16(&key)
        try wire.int16(&minimumVersion)
        try wire.int16(&maximumVersion)
    }
}
