import OrchestraCore

// OffsetCommit, OffsetFetch.

extension BrokerCore {
    func offsetCommit(_ request: OffsetCommitRequest, _ context: RequestContext) {
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
        let errors = commit(offsets) { known in
            let decision = groups.commitOffsets(
                groupID: request.groupID,
                membership: GroupMembership(
                    generation: request.generation, memberID: request.memberID, instanceID: request.instanceID),
                offsets: known, now: now)
            apply(decision.directives)
            return decision.answer
        }
        let response = OffsetCommitResponse(
            topics: results(of: errors, for: request.topics.map { ($0.name, $0.partitions.map(\.index)) }))
        committer.whenDurable { context.respond(response) }
    }

    func offsetFetch(_ request: OffsetFetchRequest, _ context: RequestContext) {
        var response = OffsetFetchResponse()
        if context.version < 8 {
            // Version 1 cannot say null, so an empty list there means nothing.
            response.topics = fetchOffsets(request.groupID, request.topics, request.requiresStable)
        } else {
            response.groups = request.groups.map {
                OffsetFetchGroupResult(
                    groupID: $0.groupID, topics: fetchOffsets($0.groupID, $0.topics, request.requiresStable))
            }
        }
        committer.whenDurable { context.respond(response, sizeHint: 512) }
    }

    private func fetchOffsets(
        _ groupID: String, _ topics: [OffsetFetchTopic]?, _ requiresStable: Bool
    ) -> [OffsetFetchTopicResult] {
        let wanted = topics?.flatMap { topic in
            topic.partitions.map { TopicPartition(topic: topic.name, partition: $0) }
        }
        var results: [OffsetFetchTopicResult] = []
        var places: [String: Int] = [:]
        for fetched in groups.fetchOffsets(groupID: groupID, partitions: wanted, requireStable: requiresStable) {
            let place = places[fetched.partition.topic] ?? results.count
            if place == results.count {
                places[fetched.partition.topic] = place
                results.append(OffsetFetchTopicResult(name: fetched.partition.topic))
            }
            results[place].partitions.append(
                OffsetFetchPartitionResult(
                    index: fetched.partition.partition, offset: fetched.committed?.offset ?? -1,
                    leaderEpoch: fetched.committed?.leaderEpoch ?? -1, metadata: fetched.committed?.metadata ?? "",
                    error: fetched.error))
        }
        return results
    }
}
