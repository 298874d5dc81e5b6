// The offsets of OffsetCommit and TxnOffsetCommit. The two requests have the same fields in the same order; only the
// version that brought the leader epoch differs.

/// A request that commits offsets.
protocol OffsetCommitLayout: Sendable {
    /// The first version that carries the leader epoch of each offset.
    static var leaderEpochSince: Int16 { get }
}

struct OffsetCommitTopic<Layout: OffsetCommitLayout>: WireStructure {
    var name: String = ""
    var partitions: [OffsetCommitPartition<Layout>] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetCommitPartition<Layout: OffsetCommitLayout>: WireStructure {
    var index: Int32 = 0
    var offset: Int64 = 0
    var leaderEpoch: Int32 = -1
    var metadata: String? = nil

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.int64(&offset)
        try wire.int32(&leaderEpoch, since: Layout.leaderEpochSince)
        try wire.nullableString(&metadata)
    }
}

struct OffsetCommitTopicResult: WireStructure {
    var name: String = ""
    var partitions: [OffsetCommitPartitionResult] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.string(&name)
        try wire.array(&partitions)
    }
}

struct OffsetCommitPartitionResult: WireStructure {
    var index: Int32 = 0
    var error: KafkaErrorCode = .none

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int32(&index)
        try wire.error(&error)
    }
}
