import Testing

@testable import LocalBroker

@Suite("Administration over the wire")
struct AdministrationTests {
    private static let topic: Int8 = 2

    private func settings(_ name: String, _ client: TestClient) async throws -> [String: String] {
        let response = try await client.call(
            DescribeConfigsRequest(resources: [DescribeConfigsResource(type: Self.topic, name: name)]))
        let configs = try #require(response.results.first?.configs)
        return Dictionary(uniqueKeysWithValues: configs.filter { $0.source == 1 }.map { ($0.name, $0.value ?? "") })
    }

    private func alter(
        _ client: TestClient, _ changes: [(String, Int8, String?)], validatesOnly: Bool = false
    ) async throws -> KafkaErrorCode? {
        let changes = changes.map { IncrementalConfigChange(name: $0.0, operation: $0.1, value: $0.2) }
        return try await client.call(
            IncrementalAlterConfigsRequest(
                resources: [IncrementalAlterConfigsResource(type: Self.topic, name: "t", configs: changes)],
                validatesOnly: validatesOnly)
        ).results.first?.error
    }

    @Test("AlterConfigs replaces all settings, IncrementalAlterConfigs single ones; both outlive a restart")
    func alterConfigs() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t", ["retention.ms": "1000", "retention.bytes": "5"])
            let replaced = try await client.call(
                AlterConfigsRequest(resources: [
                    AlterConfigsResource(
                        type: Self.topic, name: "t",
                        configs: [CreatableTopicConfig(name: "retention.ms", value: "2000")])
                ]))
            #expect(replaced.results.map(\.error) == [.none])
            #expect(try await settings("t", client) == ["retention.ms": "2000"])
            #expect(
                try await alter(client, [("max.message.bytes", 0, "100"), ("retention.ms", 1, nil)])
                    == KafkaErrorCode.none)
            #expect(try await alter(client, [("cleanup.policy", 2, "compact")]) == KafkaErrorCode.none)
        }
        try await withBroker(in: directory.path) { _, client in
            #expect(
                try await settings("t", client)
                    == ["max.message.bytes": "100", "cleanup.policy": "delete,compact"])
            #expect(try await alter(client, [("cleanup.policy", 3, "delete")]) == KafkaErrorCode.none)
            #expect(try await settings("t", client)["cleanup.policy"] == "compact")
            let large = try await client.produce("t", .of([TestRecord("k", String(repeating: "x", count: 200))]))
            #expect(large.error == .messageTooLarge)
        }
    }

    @Test("bad changes are refused and change nothing")
    func refusedChanges() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            #expect(try await alter(client, [("retention.ms", 0, "soon")]) == .invalidConfig)
            #expect(try await alter(client, [("no.such.setting", 0, "1")]) == .invalidConfig)
            #expect(try await alter(client, [("retention.ms", 2, "1")]) == .invalidConfig)
            #expect(try await alter(client, [("retention.ms", 0, nil)]) == .invalidRequest)
            #expect(try await alter(client, [("retention.ms", 9, "1")]) == .invalidRequest)
            #expect(try await alter(client, [("retention.ms", 0, "1"), ("retention.ms", 0, "2")]) == .invalidRequest)
            #expect(try await alter(client, [("retention.ms", 0, "1")], validatesOnly: true) == KafkaErrorCode.none)
            #expect(try await settings("t", client) == [:])
            let others = try await client.call(
                AlterConfigsRequest(resources: [
                    AlterConfigsResource(type: Self.topic, name: "nowhere"), AlterConfigsResource(type: 4, name: "0"),
                    AlterConfigsResource(type: 9, name: "t"),
                ]))
            #expect(others.results.map(\.error) == [.unknownTopicOrPartition, .invalidRequest, .invalidRequest])
        }
    }

    private func deleteRecords(_ client: TestClient, _ name: String, _ offset: Int64) async throws
        -> DeleteRecordsPartitionResult
    {
        let response = try await client.call(
            DeleteRecordsRequest(topics: [
                DeleteRecordsTopic(name: name, partitions: [DeleteRecordsPartition(index: 0, offset: offset)])
            ]))
        return try #require(response.topics.first?.partitions.first)
    }

    @Test("DeleteRecords raises the start of a log, for good")
    func deleteRecords() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.maintenanceInterval = .milliseconds(20)
        } _: { _, client in
            try await client.createTopic("t")
            try await client.createTopic("compacted", ["cleanup.policy": "compact"])
            for _ in 0..<3 { try await client.produce("t", .of("a", "b")) }
            #expect(try await deleteRecords(client, "t", 3).lowWatermark == 3)
            #expect(try await deleteRecords(client, "t", 1).lowWatermark == 3)
            #expect(try await deleteRecords(client, "t", 7).error == .offsetOutOfRange)
            #expect(try await deleteRecords(client, "t", -2).error == .offsetOutOfRange)
            #expect(try await deleteRecords(client, "nowhere", 0).error == .unknownTopicOrPartition)
            #expect(try await deleteRecords(client, "compacted", -1).error == .policyViolation)
            #expect(try await client.listOffset("t", -2) == 3)
            #expect(try await client.fetch("t", from: 2).error == .offsetOutOfRange)
            #expect(try await client.readAll("t", from: 4) == ["4 -=a", "5 -=b"])
        }
        try await withBroker(in: directory.path) { _, client async throws in
            #expect(try await client.listOffset("t", -2) == 3)
            #expect(try await deleteRecords(client, "t", -1).lowWatermark == 6)
            #expect(try await client.produce("t", .of("c")).baseOffset == 6)
        }
        #expect(try BrokerCheck.run(directory: directory.path).problems == [])
    }

    @Test("OffsetDelete forgets offsets, but not of topics that members of the group read")
    func offsetDelete() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t", partitions: 2)
            let committed = try await client.call(
                OffsetCommitRequest(
                    groupID: "g",
                    topics: [
                        OffsetCommitTopic(
                            name: "t", partitions: [0, 1].map { OffsetCommitPartition(index: $0, offset: 5) })
                    ]))
            #expect(committed.topics.flatMap { $0.partitions.map(\.error) } == [.none, .none])
            func delete(_ groupID: String, _ partitions: [Int32]) async throws -> OffsetDeleteResponse {
                try await client.call(
                    OffsetDeleteRequest(
                        groupID: groupID,
                        topics: [
                            OffsetDeleteTopic(
                                name: "t", partitions: partitions.map { OffsetDeletePartition(index: $0) })
                        ]))
            }
            #expect(try await delete("unknown", [0]).error == .groupIDNotFound)
            let deleted = try await delete("g", [0, 7])
            #expect(deleted.error == .none)
            #expect(deleted.topics.first?.partitions.map(\.error) == [.none, .unknownTopicOrPartition])
            let left = try await client.call(
                OffsetFetchRequest(groups: [
                    OffsetFetchGroup(groupID: "g", topics: [OffsetFetchTopic(name: "t", partitions: [0, 1])])
                ]))
            #expect(left.groups.first?.topics.first?.partitions.map(\.offset) == [-1, 5])
        }
    }

    @Test("transactions and producers are described as they are")
    func transactions() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { _, client in
            try await client.createTopic("t")
            var open = TransactionalProducer(client: client, transactionalID: "open")
            var idle = TransactionalProducer(client: client, transactionalID: "idle")
            try await open.initialize()
            try await idle.initialize()
            #expect(try await open.add("t") == KafkaErrorCode.none)
            #expect(try await open.produce("t", "a") == .none)

            let described = try await client.call(
                DescribeTransactionsRequest(transactionalIDs: ["open", "idle", "unknown"])
            ).transactions
            #expect(described.map(\.error) == [.none, .none, .transactionalIDNotFound])
            #expect(described.map(\.state) == ["Ongoing", "Empty", ""])
            #expect(described[0].topics.map(\.name) == ["t"] && described[0].topics.first?.partitions == [0])
            #expect(described[0].startTimeMilliseconds > 0 && described[1].startTimeMilliseconds == -1)
            #expect(described[0].producerID == open.identity.producerID)

            func list(_ request: ListTransactionsRequest) async throws -> [String] {
                try await client.call(request).transactions.map(\.transactionalID)
            }
            #expect(try await list(ListTransactionsRequest()) == ["idle", "open"])
            #expect(try await list(ListTransactionsRequest(states: ["Ongoing"])) == ["open"])
            #expect(try await list(ListTransactionsRequest(producerIDs: [idle.identity.producerID])) == ["idle"])
            #expect(try await list(ListTransactionsRequest(durationMilliseconds: 3_600_000)) == [])
            #expect(
                try await client.call(ListTransactionsRequest(states: ["Ongoing", "Odd"])).unknownStates == ["Odd"])

            let producers = try await client.call(
                DescribeProducersRequest(topics: [AddPartitionsToTxnTopic(name: "t", partitions: [0, 1])])
            ).topics.first?.partitions
            #expect(producers?.map(\.error) == [.none, .unknownTopicOrPartition])
            #expect(producers?.first?.producers.map(\.producerID) == [open.identity.producerID])
            #expect(producers?.first?.producers.first?.transactionStartOffset == 0)
            #expect(producers?.first?.producers.first?.lastSequence == 0)
            #expect(try await open.end(commits: true) == .none)
        }
    }
}
