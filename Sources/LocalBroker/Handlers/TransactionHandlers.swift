import OrchestraCore

// InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn. Decided by `TransactionCoordinator`;
// what it decides is on disk before the answer leaves.

extension BrokerCore {
    func initProducerID(_ request: InitProducerIDRequest, _ context: RequestContext) {
        let decision = transactions.initProducerID(
            .init(
                transactionalID: request.transactionalID,
                transactionTimeout: .milliseconds(Int64(request.transactionTimeoutMilliseconds)),
                current: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
                apiVersion: context.version),
            now: now)
        apply(decision.directives)
        var response = InitProducerIDResponse()
        switch decision.answer {
        case .success(let identity):
            response.producerID = identity.producerID
            response.producerEpoch = identity.epoch
        case .failure(let error):
            response.error = error
        }
        committer.whenDurable { context.respond(response) }
    }

    func addPartitionsToTxn(_ request: AddPartitionsToTxnRequest, _ context: RequestContext) {
        let partitions = request.topics.flatMap { topic in
            topic.partitions.map { TopicPartition(topic: topic.name, partition: $0) }
        }
        let unknown = Set(partitions.filter { !catalog.exists($0) })
        let error: (TopicPartition) -> KafkaErrorCode
        if unknown.isEmpty {
            let decision = transactions.addPartitions(
                transactionalID: request.transactionalID,
                producer: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
                partitions: partitions, apiVersion: context.version, now: now)
            apply(decision.directives)
            error = { _ in decision.answer }
        } else {
            error = { unknown.contains($0) ? .unknownTopicOrPartition : .operationNotAttempted }
        }
        let response = AddPartitionsToTxnResponse(
            topics: request.topics.map { topic in
                AddPartitionsToTxnTopicResult(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        AddPartitionsToTxnPartitionResult(
                            index: $0, error: error(TopicPartition(topic: topic.name, partition: $0)))
                    })
            })
        committer.whenDurable { context.respond(response) }
    }

    func addOffsetsToTxn(_ request: AddOffsetsToTxnRequest, _ context: RequestContext) {
        let decision = transactions.addOffsets(
            transactionalID: request.transactionalID,
            producer: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
            groupID: request.groupID, apiVersion: context.version, now: now)
        apply(decision.directives)
        committer.whenDurable { context.respond(AddOffsetsToTxnResponse(error: decision.answer)) }
    }

    func txnOffsetCommit(_ request: TxnOffsetCommitRequest, _ context: RequestContext) {
        let now = now
        let offsets = request.topics.flatMap { topic in
            topic.partitions.map { partition in
                (
                    TopicPartition(topic: topic.name, partition: partition.index),
                    CommittedOffset(
                        offset: partition.offset, leaderEpoch: partition.leaderEpoch,
                        metadata: partition.metadata ?? "", commitTime: now)
                )
            }
        }
        let refusal = transactions.verifyOffsetCommit(
            transactionalID: request.transactionalID,
            producer: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
            groupID: request.groupID)
        let errors = commit(offsets) { known in
            guard refusal == .none else { return known.map { _ in refusal } }
            let decision = groups.commitTransactionalOffsets(
                groupID: request.groupID, producerID: request.producerID,
                membership: GroupMembership(
                    generation: request.generation, memberID: request.memberID, instanceID: request.instanceID),
                offsets: known, now: now)
            apply(decision.directives)
            return decision.answer
        }
        let response = TxnOffsetCommitResponse(
            topics: results(of: errors, for: request.topics.map { ($0.name, $0.partitions.map(\.index)) }))
        committer.whenDurable { context.respond(response) }
    }

    func endTxn(_ request: EndTxnRequest, _ context: RequestContext) {
        let decision = transactions.end(
            transactionalID: request.transactionalID,
            producer: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
            outcome: request.commits ? .commit : .abort, apiVersion: context.version, now: now)
        apply(decision.directives)
        committer.whenDurable { context.respond(EndTxnResponse(error: decision.answer)) }
    }

    /// Commits the offsets of partitions that exist; the others get UNKNOWN_TOPIC_OR_PARTITION.
    ///
    /// - Returns: one error per offset, in the order given.
    func commit(
        _ offsets: [(TopicPartition, CommittedOffset)],
        known commitKnown: ([(TopicPartition, CommittedOffset)]) -> [KafkaErrorCode]
    ) -> [KafkaErrorCode] {
        let known = offsets.filter { catalog.exists($0.0) }
        var answers = commitKnown(known).makeIterator()
        return offsets.map { partition, _ in
            catalog.exists(partition) ? answers.next() ?? .unknownServerError : .unknownTopicOrPartition
        }
    }

    /// Puts errors that were computed partition by partition back under their topics.
    func results(
        of errors: [KafkaErrorCode], for topics: [(name: String, partitions: [Int32])]
    ) -> [OffsetCommitTopicResult] {
        var next = errors.makeIterator()
        return topics.map { topic in
            OffsetCommitTopicResult(
                name: topic.name,
                partitions: topic.partitions.map {
                    OffsetCommitPartitionResult(index: $0, error: next.next() ?? .unknownServerError)
                })
        }
    }
}
