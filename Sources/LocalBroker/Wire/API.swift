// The table of what this broker speaks. An API is announced only if it is answered as Apache Kafka answers it; its
// fields are listed in the file of its request under Messages/.

/// Number, versions and encoding of one API of the protocol.
struct API: Sendable {
    var key: APIKey
    /// The versions that are understood and announced.
    var versions: ClosedRange<Int16>
    /// The first version in the flexible encoding.
    var flexibleSince: Int16

    init(_ key: APIKey, versions: ClosedRange<Int16>, flexibleSince: Int16) {
        self.key = key
        self.versions = versions
        self.flexibleSince = flexibleSince
    }

    func isFlexible(_ version: Int16) -> Bool { version >= flexibleSince }

    /// Every API of this broker, by its number.
    static let all = table.sorted { $0.key.rawValue < $1.key.rawValue }

    private static let table: [API] = [
        ProduceRequest.api, FetchRequest.api, ListOffsetsRequest.api, MetadataRequest.api,
        OffsetCommitRequest.api, OffsetFetchRequest.api, FindCoordinatorRequest.api, JoinGroupRequest.api,
        HeartbeatRequest.api, LeaveGroupRequest.api, SyncGroupRequest.api, DescribeGroupsRequest.api,
        ListGroupsRequest.api, ApiVersionsRequest.api, CreateTopicsRequest.api, DeleteTopicsRequest.api,
        InitProducerIDRequest.api, OffsetForLeaderEpochRequest.api, AddPartitionsToTxnRequest.api,
        AddOffsetsToTxnRequest.api, EndTxnRequest.api, TxnOffsetCommitRequest.api, DescribeConfigsRequest.api,
        CreatePartitionsRequest.api, DeleteGroupsRequest.api, DescribeClusterRequest.api, DeleteRecordsRequest.api,
        AlterConfigsRequest.api, IncrementalAlterConfigsRequest.api, OffsetDeleteRequest.api,
        DescribeProducersRequest.api, DescribeTransactionsRequest.api, ListTransactionsRequest.api,
    ]

    private static let byKey = Dictionary(uniqueKeysWithValues: all.map { ($0.key, $0) })

    static func find(_ key: Int16) -> API? { APIKey(rawValue: key).flatMap { byKey[$0] } }
}

/// The numbers of Kafka's APIs that this broker answers.
enum APIKey: Int16, Hashable, Sendable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case leaveGroup = 13
    case syncGroup = 14
    case describeGroups = 15
    case listGroups = 16
    case apiVersions = 18
    case createTopics = 19
    case deleteTopics = 20
    case deleteRecords = 21
    case initProducerID = 22
    case offsetForLeaderEpoch = 23
    case addPartitionsToTxn = 24
    case addOffsetsToTxn = 25
    case endTxn = 26
    case txnOffsetCommit = 28
    case describeConfigs = 32
    case alterConfigs = 33
    case createPartitions = 37
    case deleteGroups = 42
    case incrementalAlterConfigs = 44
    case offsetDelete = 47
    case describeCluster = 60
    case describeProducers = 61
    case describeTransactions = 65
    case listTransactions = 66
}
