import NIOCore
import SeededRandom
import Testing

@testable import LocalBroker

@Suite("Wire codec")
struct WireCodecTests {
    private func encode(_ message: some WireStructure, _ version: Int16, _ isFlexible: Bool) throws -> ByteBuffer {
        var wire = WireCodec(writingTo: ByteBuffer(), version: version, isFlexible: isFlexible)
        var copy = message
        try wire.structure(&copy)
        return wire.takeBuffer()
    }

    private func decode<Message: WireStructure>(
        _: Message.Type, _ bytes: ByteBuffer, _ version: Int16, _ isFlexible: Bool
    ) throws -> (message: Message, left: Int) {
        var wire = WireCodec(reading: bytes, version: version, isFlexible: isFlexible)
        var message = Message()
        try wire.structure(&message)
        return (message, wire.buffer.readableBytes)
    }

    private func roundTrip<Request: WireRequest>(_ request: Request, _ response: Request.Response) throws {
        for version in Request.api.versions {
            let isFlexible = Request.api.isFlexible(version)
            let requestBytes = try encode(request, version, isFlexible)
            let (decodedRequest, left) = try decode(Request.self, requestBytes, version, isFlexible)
            #expect(left == 0, "\(Request.api.key) version \(version)")
            #expect(try encode(decodedRequest, version, isFlexible) == requestBytes)
            let responseBytes = try encode(response, version, isFlexible)
            let (decodedResponse, rest) = try decode(Request.Response.self, responseBytes, version, isFlexible)
            #expect(rest == 0, "\(Request.api.key) version \(version), response")
            #expect(try encode(decodedResponse, version, isFlexible) == responseBytes)
        }
    }

    private func roundTripDefaults<Request: WireRequest>(_: Request.Type) throws {
        try roundTrip(Request(), Request.Response())
    }

    @Test("every message survives writing and reading in every version")
    func defaults() throws {
        for api in API.all { try #require(API.find(api.key.rawValue)?.versions == api.versions) }
        try roundTripDefaults(ApiVersionsRequest.self)
        try roundTripDefaults(AddOffsetsToTxnRequest.self)
        try roundTripDefaults(AddPartitionsToTxnRequest.self)
        try roundTripDefaults(CreatePartitionsRequest.self)
        try roundTripDefaults(DeleteGroupsRequest.self)
        try roundTripDefaults(DeleteTopicsRequest.self)
        try roundTripDefaults(DescribeClusterRequest.self)
        try roundTripDefaults(DescribeConfigsRequest.self)
        try roundTripDefaults(DescribeGroupsRequest.self)
        try roundTripDefaults(EndTxnRequest.self)
        try roundTripDefaults(HeartbeatRequest.self)
        try roundTripDefaults(InitProducerIDRequest.self)
        try roundTripDefaults(LeaveGroupRequest.self)
        try roundTripDefaults(ListGroupsRequest.self)
        try roundTripDefaults(OffsetForLeaderEpochRequest.self)
        try roundTripDefaults(SyncGroupRequest.self)
        try roundTripDefaults(TxnOffsetCommitRequest.self)
        try roundTripDefaults(AlterConfigsRequest.self)
        try roundTripDefaults(DeleteRecordsRequest.self)
        try roundTripDefaults(DescribeProducersRequest.self)
        try roundTripDefaults(DescribeTransactionsRequest.self)
        try roundTripDefaults(IncrementalAlterConfigsRequest.self)
        try roundTripDefaults(ListTransactionsRequest.self)
        try roundTripDefaults(OffsetDeleteRequest.self)
    }

    @Test("DescribeCluster names the rack of each broker, which it has since version 0")
    func describeClusterBytes() throws {
        let response = DescribeClusterResponse(
            clusterID: "c", controllerID: 0, brokers: [DescribeClusterBroker(nodeID: 1, host: "h", port: 2)])
        // Throttle time; error; no message; "c"; controller; one broker: id, "h", port, no rack, no tags; operations; no tags.
        let expected: [UInt8] = [
            0, 0, 0, 0, 0, 0, 0, 2, 0x63, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2, 0x68, 0, 0, 0, 2, 0, 0, 0x80, 0, 0, 0, 0,
        ]
        #expect(Array(try encode(response, 0, true).readableBytesView) == expected)
    }

    @Test("the leader epoch comes with version 6 of OffsetCommit and version 2 of TxnOffsetCommit")
    func leaderEpochs() throws {
        func size(_ message: some WireStructure, _ version: Int16) throws -> Int {
            try encode(message, version, false).readableBytes
        }
        let plain = OffsetCommitRequest(topics: [OffsetCommitTopic(name: "t", partitions: [OffsetCommitPartition()])])
        #expect(try size(plain, 6) - size(plain, 5) == 4)
        let transactional = TxnOffsetCommitRequest(
            topics: [OffsetCommitTopic(name: "t", partitions: [OffsetCommitPartition()])])
        #expect(try size(transactional, 2) - size(transactional, 1) == 4)
    }

    @Test("nested messages survive writing and reading in every version")
    func nested() throws {
        let records = Records.batches([[1, 2, 3], [4]])
        try roundTrip(
            ProduceRequest(
                transactionalID: "t", acks: -1, timeoutMilliseconds: 5,
                topics: [ProduceTopic(name: "a", partitions: [ProducePartition(index: 1, records: records)])]),
            ProduceResponse(topics: [
                ProduceTopicResult(
                    name: "a",
                    partitions: [
                        ProducePartitionResult(
                            index: 1, error: .corruptMessage, baseOffset: 7,
                            recordErrors: [ProduceRecordError(batchIndex: 1, message: "m")], errorMessage: "e")
                    ])
            ]))
        try roundTrip(
            FetchRequest(
                maximumWaitMilliseconds: 1, minimumBytes: 1,
                topics: [FetchTopic(name: "a", partitions: [FetchPartition(index: 2, fetchOffset: 9)])],
                forgottenTopics: [FetchForgottenTopic(name: "b", partitions: [1, 2])], rackID: "r"),
            FetchResponse(topics: [
                FetchTopicResult(
                    name: "a",
                    partitions: [
                        FetchPartitionResult(
                            index: 2, abortedTransactions: [FetchAbortedTransaction(producerID: 1, firstOffset: 2)],
                            records: records)
                    ])
            ]))
        try roundTrip(
            MetadataRequest(topics: [MetadataTopic(name: "a")]),
            MetadataResponse(
                brokers: [MetadataBroker(nodeID: 1, host: "h", port: 2, rack: nil)], clusterID: "c",
                topics: [
                    MetadataTopicResult(
                        name: "a", topicID: TopicID(high: 1, low: 2),
                        partitions: [MetadataPartition(index: 0, replicas: [0], inSyncReplicas: [0])])
                ]))
        try roundTrip(
            CreateTopicsRequest(topics: [
                CreatableTopic(
                    name: "a", partitionCount: 1, replicationFactor: 1,
                    assignments: [CreatableReplicaAssignment(partition: 0, brokerIDs: [0])],
                    configs: [CreatableTopicConfig(name: "n", value: nil)])
            ]),
            CreateTopicsResponse(topics: [
                CreateTopicsResult(name: "a", configs: [CreatedTopicConfig(name: "n", value: "v")])
            ]))
        try roundTripGroups()
    }

    private func roundTripGroups() throws {
        try roundTrip(
            JoinGroupRequest(
                groupID: "g", memberID: "m", instanceID: "i", protocolType: "consumer",
                protocols: [JoinGroupProtocol(name: "range", metadata: [1, 2])], reason: "why"),
            JoinGroupResponse(
                protocolType: "consumer", protocolName: "range", leaderID: "m", memberID: "m",
                members: [JoinGroupMember(memberID: "m", instanceID: nil, metadata: [3])]))
        try roundTrip(
            OffsetFetchRequest(
                groupID: "g", topics: [OffsetFetchTopic(name: "a", partitions: [1])],
                groups: [OffsetFetchGroup(groupID: "g", topics: nil)]),
            OffsetFetchResponse(
                topics: [OffsetFetchTopicResult(name: "a", partitions: [OffsetFetchPartitionResult(index: 1)])],
                groups: [
                    OffsetFetchGroupResult(
                        groupID: "g",
                        topics: [OffsetFetchTopicResult(name: "a", partitions: [OffsetFetchPartitionResult()])])
                ]))
        try roundTrip(
            OffsetCommitRequest(
                groupID: "g",
                topics: [OffsetCommitTopic(name: "a", partitions: [OffsetCommitPartition(index: 1, offset: 2)])]),
            OffsetCommitResponse(topics: [
                OffsetCommitTopicResult(name: "a", partitions: [OffsetCommitPartitionResult(index: 1)])
            ]))
        try roundTrip(
            ListOffsetsRequest(topics: [ListOffsetsTopic(name: "a", partitions: [ListOffsetsPartition(index: 1)])]),
            ListOffsetsResponse(topics: [
                ListOffsetsTopicResult(name: "a", partitions: [ListOffsetsPartitionResult(index: 1)])
            ]))
        try roundTrip(
            FindCoordinatorRequest(key: "g", keyType: 0, keys: ["g", "h"]),
            FindCoordinatorResponse(host: "h", coordinators: [FindCoordinatorResult(key: "g", host: "h")]))
    }

    @Test("a request of Apache Kafka's Java client is read as it was meant")
    func knownBytes() throws {
        // Metadata version 9 (flexible) for topic "ab", as the protocol guide lays it out.
        let bytes: [UInt8] = [2, 3, 0x61, 0x62, 0, 1, 0, 0, 0]
        let (request, left) = try decode(MetadataRequest.self, ByteBuffer(bytes: bytes), 9, true)
        #expect(left == 0)
        #expect(request.topics?.map(\.name) == ["ab"])
        #expect(request.allowsAutoTopicCreation)
    }

    @Test("unknown tagged fields are skipped")
    func taggedFields() throws {
        let bytes: [UInt8] = [2, 0x61, 2, 0x62, 1, 5, 2, 9, 9]
        let (request, left) = try decode(ApiVersionsRequest.self, ByteBuffer(bytes: bytes), 3, true)
        #expect(left == 0)
        #expect(request.clientSoftwareName == "a")
    }

    @Test("claimed sizes beyond the bytes that are there are refused", arguments: [false, true])
    func hugeClaims(isFlexible: Bool) throws {
        let huge: [UInt8] = isFlexible ? [0xff, 0xff, 0xff, 0xff, 0x07] : [0x7f, 0xff, 0xff, 0xff]
        let version: Int16 = isFlexible ? 9 : 1
        #expect(throws: WireError.self) {
            _ = try decode(MetadataRequest.self, ByteBuffer(bytes: huge + [1, 2, 3]), version, isFlexible)
        }
    }

    @Test("random and mutated bytes are read or refused, never more", arguments: [UInt64(1), 2, 3])
    func fuzz(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let valid = try encode(
            FetchRequest(topics: [FetchTopic(name: "topic", partitions: [FetchPartition(), FetchPartition()])]), 12,
            true)
        for _ in 0..<3000 {
            var bytes = Array(valid.readableBytesView)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0 ... .max, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...3, using: &random))
            let version = Int16.random(in: 0...12, using: &random)
            _ = try? decode(FetchRequest.self, ByteBuffer(bytes: bytes), version, version % 2 == 0)
            _ = try? decode(JoinGroupRequest.self, ByteBuffer(bytes: bytes), version, version % 2 == 0)
            _ = try? decode(CreateTopicsRequest.self, ByteBuffer(bytes: bytes), version, version % 2 == 0)
        }
    }
}
