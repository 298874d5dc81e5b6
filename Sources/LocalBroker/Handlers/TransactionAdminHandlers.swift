import OrchestraCore

// DescribeTransactions, ListTransactions, DescribeProducers: what administrators ask about transactions.

extension BrokerCore {
    func describeTransactions(_ request: DescribeTransactionsRequest, _ context: RequestContext) {
        let response = DescribeTransactionsResponse(
            transactions: request.transactionalIDs.withoutRepetitions.map(describe))
        committer.whenDurable { context.respond(response) }
    }

    private func describe(_ transactionalID: String) -> DescribedTransaction {
        guard let row = transactions.transactions[transactionalID] else {
            return DescribedTransaction(
                error: transactionalID.isEmpty ? .invalidRequest : .transactionalIDNotFound,
                transactionalID: transactionalID)
        }
        var topics: [AddPartitionsToTxnTopic] = []
        for partition in row.partitions {
            if topics.last?.name != partition.topic { topics.append(AddPartitionsToTxnTopic(name: partition.topic)) }
            topics[topics.count - 1].partitions.append(partition.partition)
        }
        return DescribedTransaction(
            transactionalID: transactionalID, state: row.state.kafkaName, timeoutMilliseconds: row.timeoutMilliseconds,
            startTimeMilliseconds: row.startedAt?.millisecondsSinceEpoch ?? -1, producerID: row.producerID,
            producerEpoch: row.epoch, topics: topics)
    }

    func listTransactions(_ request: ListTransactionsRequest, _ context: RequestContext) {
        let wanted = Set(request.states)
        let producerIDs = Set(request.producerIDs)
        let now = now
        let rows = transactions.transactions.values.filter { row in
            (wanted.isEmpty || wanted.contains(row.state.kafkaName))
                && (producerIDs.isEmpty || producerIDs.contains(row.producerID))
                && (request.durationMilliseconds < 0
                    || row.startedAt.map {
                        now.duration(since: $0) > .milliseconds(request.durationMilliseconds)
                    } ?? false)
        }
        let response = ListTransactionsResponse(
            unknownStates: request.states.filter { !TransactionRow.State.kafkaNames.contains($0) },
            transactions: rows.sorted { $0.transactionalID < $1.transactionalID }.map {
                ListedTransaction(
                    transactionalID: $0.transactionalID, producerID: $0.producerID, state: $0.state.kafkaName)
            })
        committer.whenDurable { context.respond(response, sizeHint: 64 + rows.count * 64) }
    }

    func describeProducers(_ request: DescribeProducersRequest, _ context: RequestContext) {
        let partitions = Dictionary(grouping: request.topics, by: \.name).mapValues { $0.flatMap(\.partitions) }
        let response = DescribeProducersResponse(
            topics: request.topics.map(\.name).withoutRepetitions.map { name in
                DescribeProducersTopicResult(
                    name: name,
                    partitions: (partitions[name] ?? []).withoutRepetitions.map { describeProducers(name, $0) })
            })
        committer.whenDurable { context.respond(response, sizeHint: 1024) }
    }

    private func describeProducers(_ topic: String, _ partition: Int32) -> DescribeProducersPartitionResult {
        guard let log = catalog.log(topic, partition) else {
            return DescribeProducersPartitionResult(index: partition, error: .unknownTopicOrPartition)
        }
        return DescribeProducersPartitionResult(
            index: partition,
            producers: log.ledger.producers.values.sorted { $0.producerID < $1.producerID }.map { entry in
                DescribedProducer(
                    producerID: entry.producerID, producerEpoch: Int32(entry.epoch),
                    lastSequence: entry.batches.last?.lastSequence ?? -1,
                    lastTimestamp: entry.lastTimestamp.millisecondsSinceEpoch,
                    transactionStartOffset: entry.transactionFirstOffset ?? -1)
            })
    }
}
