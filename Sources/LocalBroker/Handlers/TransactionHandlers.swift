import OrchestraCore

// InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn. Decided by `TransactionCoordinator`;
// what it decides is on disk before the answer leaves, with two exceptions. What AddPartitionsToTxn and AddOffsetsToTxn
// add is only a permission: a batch, or an offset, that makes use of it is on disk together with it before it is
// acknowledged. If the broker is killed in between, nothing has been written under the permission; the batch or offset
// that comes after the restart brings it back (`TransactionCoordinator.readmit`).

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
            apply(decision.directives, mayRide: true)
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
        context.respond(response)
    }

    func addOffsetsToTxn(_ request: AddOffsetsToTxnRequest, _ context: RequestContext) {
        let decision = transactions.addOffsets(
            transactionalID: request.transactionalID,
            producer: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
            groupID: request.groupID, apiVersion: context.version, now: now)
        apply(decision.directives, mayRide: true)
        context.respond(AddOffsetsToTxnResponse(error: decision.answer))
    }

    func txnOffsetCommit(_ request: TxnOffsetCommitRequest, _ context: RequestContext) {
        let now = now
        let producer = ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch)
        var refusal = transactions.verifyOffsetCommit(
            transactionalID: request.transactionalID, producer: producer, groupID: request.groupID)
        if refusal == .invalidTransactionState {
            let decision = transactions.readmit(
                transactionalID: request.transactionalID, producer: producer, groupID: request.groupID, now: now)
            apply(decision.directives, mayRide: true)
            refusal = decision.answer
        }
        let results = commit(request.topics, now: now) { known in
            guard refusal == .none else { return Decision(known.map { _ in refusal }) }
            return groups.commitTransactionalOffsets(
                groupID: request.groupID, producerID: request.producerID,
                membership: GroupMembership(
                    generation: request.generation, memberID: request.memberID, instanceID: request.instanceID),
                offsets: known, now: now)
        }
        committer.whenDurable { context.respond(TxnOffsetCommitResponse(topics: results)) }
    }

    func endTxn(_ request: EndTxnRequest, _ context: RequestContext) {
        let decision = transactions.end(
            transactionalID: request.transactionalID,
            producer: ProducerIdentity(producerID: request.producerID, epoch: request.producerEpoch),
            outcome: request.commits ? .commit : .abort, apiVersion: context.version, now: now)
        apply(decision.directives)
        committer.whenDurable { context.respond(EndTxnResponse(error: decision.answer)) }
    }
}
