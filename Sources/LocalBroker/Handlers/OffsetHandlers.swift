import GRDB
import Logging
import NIOCore
import OrchestraCore

// ListOffsets, OffsetForLeaderEpoch.

extension BrokerCore {
    private static let latest: Int64 = -1
    private static let earliest: Int64 = -2
    private static let maximumTimestamp: Int64 = -3

    func listOffsets(_ request: ListOffsetsRequest, _ context: RequestContext) {
        var response = ListOffsetsResponse()
        var lookups: [(topic: Int, partition: Int, lookup: LogReader.TimestampLookup)] = []
        for topic in request.topics {
            var result = ListOffsetsTopicResult(name: topic.name)
            for partition in topic.partitions {
                var answer = ListOffsetsPartitionResult(index: partition.index)
                if let log = catalog.log(topic.name, partition.index) {
                    let end = request.isolationLevel == 1 ? log.lastStableOffset : log.highWatermark
                    answer.leaderEpoch = RecordBatchHeader.leaderEpoch
                    switch partition.timestamp {
                    case _ where partition.currentLeaderEpoch > RecordBatchHeader.leaderEpoch:
                        answer.error = .unknownLeaderEpoch
                    case Self.latest: answer.offset = end
                    case Self.earliest: answer.offset = log.logStartOffset
                    case 0..., Self.maximumTimestamp:
                        let lookup = LogReader.TimestampLookup(
                            partitionID: log.id, timestamp: partition.timestamp, logStartOffset: log.logStartOffset,
                            upperBound: end)
                        lookups.append((response.topics.count, result.partitions.count, lookup))
                    default: answer.error = .invalidRequest
                    }
                } else {
                    answer.error = .unknownTopicOrPartition
                }
                result.partitions.append(answer)
            }
            response.topics.append(result)
        }
        if lookups.isEmpty {
            context.respond(response)
        } else {
            find(lookups, response, context)
        }
    }

    private func find(
        _ lookups: [(topic: Int, partition: Int, lookup: LogReader.TimestampLookup)], _ response: ListOffsetsResponse,
        _ context: RequestContext
    ) {
        let bound = NIOLoopBound((self, context), eventLoop: eventLoop)
        let eventLoop = eventLoop
        pool.asyncRead { database in
            let found = Result { () throws -> ListOffsetsResponse in
                let database = try database.get()
                var response = response
                for (topic, partition, lookup) in lookups {
                    let match =
                        lookup.timestamp == Self.maximumTimestamp
                        ? try LogReader.findMaximum(lookup, in: database)
                        : try LogReader.find(lookup, in: database)
                    response.topics[topic].partitions[partition].offset = match?.offset ?? -1
                    response.topics[topic].partitions[partition].timestamp = match?.timestamp ?? -1
                }
                return response
            }
            eventLoop.execute {
                let (core, context) = bound.value
                switch found {
                case .success(let response): context.respond(response)
                case .failure(let error):
                    core.logger.error("offsets cannot be looked up", metadata: ["error": "\(error)"])
                    var failed = response
                    for (topic, partition, _) in lookups {
                        failed.topics[topic].partitions[partition].error = .kafkaStorageError
                    }
                    context.respond(failed)
                }
            }
        }
    }

    func offsetForLeaderEpoch(_ request: OffsetForLeaderEpochRequest, _ context: RequestContext) {
        let current = RecordBatchHeader.leaderEpoch
        context.respond(
            OffsetForLeaderEpochResponse(
                topics: request.topics.map { topic in
                    OffsetForLeaderTopicResult(
                        name: topic.name,
                        partitions: topic.partitions.map { partition in
                            var result = OffsetForLeaderPartitionResult(index: partition.index)
                            if let log = catalog.log(topic.name, partition.index) {
                                if partition.currentLeaderEpoch > current {
                                    result.error = .unknownLeaderEpoch
                                } else if partition.leaderEpoch == current {
                                    result.leaderEpoch = current
                                    result.endOffset = log.highWatermark
                                }
                            } else {
                                result.error = .unknownTopicOrPartition
                            }
                            return result
                        })
                }))
    }
}
