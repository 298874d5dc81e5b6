import Metrics
import NIOCore
import OrchestraCore

extension BrokerCore {
    /// Produce: checks each partition's batch, gives it its offsets, answers when all are on disk.
    func produce(_ request: ProduceRequest, _ context: RequestContext) {
        let now = now
        var response = ProduceResponse()
        response.topics.reserveCapacity(request.topics.count)
        for topic in request.topics {
            var result = ProduceTopicResult(name: topic.name)
            result.partitions.reserveCapacity(topic.partitions.count)
            for partition in topic.partitions {
                result.partitions.append(produce(partition, topic: topic.name, request, context.version, now))
            }
            response.topics.append(result)
        }
        checkLoad()
        guard request.acks != 0 else {
            context.respondNothing()
            return
        }
        committer.whenDurable { context.respond(response) }
    }

    private func produce(
        _ partition: ProducePartition, topic name: String, _ request: ProduceRequest, _ version: Int16, _ now: Timestamp
    ) -> ProducePartitionResult {
        func refused(_ error: KafkaErrorCode, _ message: String? = nil) -> ProducePartitionResult {
            metrics.refusedBatches.increment()
            return ProducePartitionResult(index: partition.index, error: error, errorMessage: message)
        }
        guard (-1...1).contains(request.acks) else { return refused(.invalidRequiredAcks) }
        guard let topic = catalog.byName[name], let log = catalog.log(name, partition.index) else {
            return refused(.unknownTopicOrPartition)
        }
        guard case .slice(let slice) = partition.records, slice.readableBytes > 0 else {
            return refused(.invalidRecord, "there is no record batch")
        }
        var batch: RecordBatch
        do throws(InvalidBatch) {
            batch = try RecordBatch.validated(
                slice,
                requirements: .init(
                    maximumBytes: topic.configuration.maximumMessageBytes,
                    requiresKeys: topic.configuration.isCompacted))
        } catch {
            return refused(error.error, error.message)
        }
        if batch.header.compressionType == 4, version < 7 { return refused(.unsupportedCompressionType) }
        let header = batch.header
        if header.producerID >= 0 {
            switch check(header, log, transactionalID: request.transactionalID, now) {
            case .append: break
            case .refuse(let error): return refused(error)
            case .duplicate(let baseOffset, let appendTime):
                return ProducePartitionResult(
                    index: partition.index, baseOffset: baseOffset,
                    logAppendTimeMilliseconds: topic.configuration.usesLogAppendTime
                        ? appendTime.millisecondsSinceEpoch : -1,
                    logStartOffset: log.logStartOffset)
            }
        }
        let appendTime = topic.configuration.usesLogAppendTime ? Self.wallClock().millisecondsSinceEpoch : -1
        if topic.configuration.usesLogAppendTime { batch.assign(logAppendTime: appendTime) }
        let baseOffset = log.nextOffset
        append(batch, to: log) { log, placed in
            guard let produced = ProducedBatch(placed.header) else { return }
            log.ledger.append(produced, baseOffset: placed.baseOffset, now: now)
        }
        metrics.producedBytes.increment(by: batch.bytes.count)
        metrics.producedRecords.increment(by: Int(header.recordCount))
        return ProducePartitionResult(
            index: partition.index, baseOffset: baseOffset,
            logAppendTimeMilliseconds: appendTime,
            logStartOffset: log.logStartOffset)
    }

    private func check(
        _ header: RecordBatchHeader, _ log: PartitionLog, transactionalID: String?, _ now: Timestamp
    ) -> ProducerLedger.Verdict {
        guard let produced = ProducedBatch(header) else { return .append }
        let verdict = log.ledger.check(produced)
        guard header.isTransactional else { return verdict }
        let partition = TopicPartition(topic: log.topicName, partition: log.number)
        var error = transactions.verifyProduce(
            transactionalID: transactionalID, producer: produced.producer, partition: partition)
        // A batch that would not be written needs no place in a transaction.
        if error == .invalidTransactionState, verdict == .append {
            let decision = transactions.readmit(
                transactionalID: transactionalID, producer: produced.producer, partition: partition, now: now)
            apply(decision.directives, mayRide: true)
            error = decision.answer
        }
        return error == .none ? verdict : .refuse(error)
    }
}

extension ProducedBatch {
    /// - Returns: nil for a batch without a producer id.
    init?(_ header: RecordBatchHeader) {
        guard header.producerID >= 0 else { return nil }
        self.init(
            producer: ProducerIdentity(producerID: header.producerID, epoch: header.producerEpoch),
            baseSequence: header.baseSequence, recordCount: header.recordCount,
            isTransactional: header.isTransactional)
    }
}
