import NIOCore
import OrchestraCore

// Lists inside a row are stored in the protocol's own flexible encoding.

/// What a blob column holds.
enum StoredBlob {
    static func encode(_ value: some WireStructure) -> [UInt8] {
        var wire = WireCodec(writingTo: ByteBuffer(), version: 0, isFlexible: true)
        var copy = value
        do {
            try wire.structure(&copy)
        } catch {
            preconditionFailure("a stored row cannot be encoded: \(error)")
        }
        return Array(wire.buffer.readableBytesView)
    }

    static func decode<Value: WireStructure>(_: Value.Type, _ bytes: [UInt8]) throws(WireError) -> Value {
        var wire = WireCodec(reading: ByteBuffer(bytes: bytes), version: 0, isFlexible: true)
        var value = Value()
        try wire.structure(&value)
        return value
    }
}

struct StoredBatches: WireStructure {
    struct Batch: WireStructure {
        var baseSequence: Int32 = 0
        var lastSequence: Int32 = 0
        var baseOffset: Int64 = 0
        var lastOffset: Int64 = 0
        var appendTime: Int64 = 0

        mutating func fields(_ wire: inout WireCodec) throws(WireError) {
            try wire.int32(&baseSequence)
            try wire.int32(&lastSequence)
            try wire.int64(&baseOffset)
            try wire.int64(&lastOffset)
            try wire.int64(&appendTime)
        }
    }

    var batches: [Batch] = []

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.array(&batches)
    }

    init() {}

    init(_ batches: [SequencedBatch]) {
        self.batches = batches.map {
            Batch(
                baseSequence: $0.baseSequence, lastSequence: $0.lastSequence, baseOffset: $0.baseOffset,
                lastOffset: $0.lastOffset, appendTime: $0.appendTime.millisecondsSinceEpoch)
        }
    }

    var sequenced: [SequencedBatch] {
        batches.map {
            SequencedBatch(
                baseSequence: $0.baseSequence, lastSequence: $0.lastSequence, baseOffset: $0.baseOffset,
                lastOffset: $0.lastOffset, appendTime: Timestamp(millisecondsSinceEpoch: $0.appendTime))
        }
    }
}

struct StoredTransaction: WireStructure {
    struct Partition: WireStructure {
        var topic = ""
        var partition: Int32 = 0

        mutating func fields(_ wire: inout WireCodec) throws(WireError) {
            try wire.string(&topic)
            try wire.int32(&partition)
        }
    }

    var previousProducerID: Int64 = -1
    var previousEpoch: Int16 = -1
    var timeoutMilliseconds: Int32 = 0
    var partitions: [Partition] = []
    var groups: [String] = []
    var startedAt: Int64 = -1
    var lastUpdate: Int64 = 0

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int64(&previousProducerID)
        try wire.int16(&previousEpoch)
        try wire.int32(&timeoutMilliseconds)
        try wire.array(&partitions)
        try wire.stringArray(&groups)
        try wire.int64(&startedAt)
        try wire.int64(&lastUpdate)
    }

    init() {}

    init(_ row: TransactionRow) {
        previousProducerID = row.previous.producerID
        previousEpoch = row.previous.epoch
        timeoutMilliseconds = row.timeoutMilliseconds
        partitions = row.partitions.map { Partition(topic: $0.topic, partition: $0.partition) }
        groups = row.groups
        startedAt = row.startedAt?.millisecondsSinceEpoch ?? -1
        lastUpdate = row.lastUpdate.millisecondsSinceEpoch
    }

    func row(
        transactionalID: String, producer: ProducerIdentity, state: TransactionRow.State
    ) -> TransactionRow {
        TransactionRow(
            transactionalID: transactionalID, producerID: producer.producerID, epoch: producer.epoch,
            previous: ProducerIdentity(producerID: previousProducerID, epoch: previousEpoch),
            timeoutMilliseconds: timeoutMilliseconds, state: state,
            partitions: partitions.map { TopicPartition(topic: $0.topic, partition: $0.partition) }, groups: groups,
            startedAt: startedAt < 0 ? nil : Timestamp(millisecondsSinceEpoch: startedAt),
            lastUpdate: Timestamp(millisecondsSinceEpoch: lastUpdate))
    }
}

struct StoredGroup: WireStructure {
    struct AssignmentProtocol: WireStructure {
        var name = ""
        var metadata: [UInt8] = []

        mutating func fields(_ wire: inout WireCodec) throws(WireError) {
            try wire.string(&name)
            try wire.bytes(&metadata)
        }
    }

    struct Member: WireStructure {
        var memberID = ""
        var instanceID: String?
        var clientID = ""
        var clientHost = ""
        var sessionTimeoutMilliseconds: Int64 = 0
        var rebalanceTimeoutMilliseconds: Int64 = 0
        var protocols: [AssignmentProtocol] = []
        var assignment: [UInt8] = []

        mutating func fields(_ wire: inout WireCodec) throws(WireError) {
            try wire.string(&memberID)
            try wire.nullableString(&instanceID)
            try wire.string(&clientID)
            try wire.string(&clientHost)
            try wire.int64(&sessionTimeoutMilliseconds)
            try wire.int64(&rebalanceTimeoutMilliseconds)
            try wire.array(&protocols)
            try wire.bytes(&assignment)
        }
    }

    var protocolType: String?
    var protocolName: String?
    var generation: Int32 = 0
    var leaderID: String?
    var members: [Member] = []
    var emptySince: Int64 = -1

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.nullableString(&protocolType)
        try wire.nullableString(&protocolName)
        try wire.int32(&generation)
        try wire.nullableString(&leaderID)
        try wire.array(&members)
        try wire.int64(&emptySince)
    }

    init() {}

    init(_ row: GroupRow) {
        protocolType = row.protocolType
        protocolName = row.protocolName
        generation = row.generation
        leaderID = row.leaderID
        members = row.members.map { member in
            Member(
                memberID: member.memberID, instanceID: member.instanceID, clientID: member.clientID,
                clientHost: member.clientHost, sessionTimeoutMilliseconds: member.sessionTimeoutMilliseconds,
                rebalanceTimeoutMilliseconds: member.rebalanceTimeoutMilliseconds,
                protocols: member.protocols.map { AssignmentProtocol(name: $0.name, metadata: $0.metadata) },
                assignment: member.assignment)
        }
        emptySince = row.emptySince?.millisecondsSinceEpoch ?? -1
    }

    func row(groupID: String) -> GroupRow {
        GroupRow(
            groupID: groupID, protocolType: protocolType, protocolName: protocolName, generation: generation,
            leaderID: leaderID,
            members: members.map { member in
                GroupRow.Member(
                    memberID: member.memberID, instanceID: member.instanceID, clientID: member.clientID,
                    clientHost: member.clientHost, sessionTimeoutMilliseconds: member.sessionTimeoutMilliseconds,
                    rebalanceTimeoutMilliseconds: member.rebalanceTimeoutMilliseconds,
                    protocols: member.protocols.map { GroupProtocol(name: $0.name, metadata: $0.metadata) },
                    assignment: member.assignment)
            },
            emptySince: emptySince < 0 ? nil : Timestamp(millisecondsSinceEpoch: emptySince))
    }
}
