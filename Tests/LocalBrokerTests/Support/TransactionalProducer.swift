import Testing

@testable import LocalBroker

/// A transactional producer that sends one request at a time.
struct TransactionalProducer {
    var client: TestClient
    let transactionalID: String
    var identity = ProducerIdentity.none
    var sequence: Int32 = 0

    mutating func initialize(timeout: Int32 = 60_000) async throws {
        let response = try await client.call(
            InitProducerIDRequest(transactionalID: transactionalID, transactionTimeoutMilliseconds: timeout))
        #expect(response.error == .none)
        identity = ProducerIdentity(producerID: response.producerID, epoch: response.producerEpoch)
        sequence = 0
    }

    func add(_ topic: String) async throws -> KafkaErrorCode? {
        try await client.call(
            AddPartitionsToTxnRequest(
                transactionalID: transactionalID, producerID: identity.producerID, producerEpoch: identity.epoch,
                topics: [AddPartitionsToTxnTopic(name: topic, partitions: [0])])
        ).topics.first?.partitions.first?.error
    }

    mutating func produce(_ topic: String, _ value: String) async throws -> KafkaErrorCode {
        let result = try await client.produce(
            topic,
            .of([TestRecord("k", value)], producer: identity, sequence: sequence, isTransactional: true),
            transactionalID: transactionalID)
        if result.error == .none { sequence += 1 }
        return result.error
    }

    func addOffsets(of groupID: String, _ offset: Int64, in topic: String) async throws -> [KafkaErrorCode] {
        let added = try await client.call(
            AddOffsetsToTxnRequest(
                transactionalID: transactionalID, producerID: identity.producerID, producerEpoch: identity.epoch,
                groupID: groupID))
        return [added.error] + (try await commitOffset(of: groupID, offset, in: topic))
    }

    func commitOffset(of groupID: String, _ offset: Int64, in topic: String) async throws -> [KafkaErrorCode] {
        try await client.call(
            TxnOffsetCommitRequest(
                transactionalID: transactionalID, groupID: groupID, producerID: identity.producerID,
                producerEpoch: identity.epoch,
                topics: [OffsetCommitTopic(name: topic, partitions: [OffsetCommitPartition(index: 0, offset: offset)])])
        ).topics.flatMap { $0.partitions.map(\.error) }
    }

    func end(commits: Bool) async throws -> KafkaErrorCode {
        try await client.call(
            EndTxnRequest(
                transactionalID: transactionalID, producerID: identity.producerID, producerEpoch: identity.epoch,
                commits: commits)
        ).error
    }
}
