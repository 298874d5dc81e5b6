import OrchestraCore

// OffsetCommit, OffsetFetch, OffsetDelete; and what OffsetCommit shares with TxnOffsetCommit.

extension BrokerCore {
    func offsetCommit(_ request: OffsetCommitRequest, _ context: RequestContext) {
        let now = now
        let results = commit(request.topics, now: now) { known in
            groups.commitOffsets(
                groupID: request.groupID,
                membership: GroupMembership(
                    generation: request.generation, memberID: request.memberID, instanceID: request.instanceID),
                offsets: known, now: now)
        }
        committer.whenDurable { context.respond(OffsetCommitResponse(topics: results)) }
    }

    /// Commits the offsets of partitions that exist; the others get UNKNOWN_TOPIC_OR_PARTITION.
    ///
    /// - Parameter decide: what the coordinator says to the offsets of existing partitions, one error for each.
    func commit<Layout>(
        _ topics: [OffsetCommitTopic<Layout>], now: Timestamp,
        _ decide: ([(TopicPartition, CommittedOffset)]) -> Decision<[KafkaErrorCode], GroupDirective>
    ) -> [OffsetCommitTopicResult] {
        let known = topics.flatMap { topic in
            topic.partitions.compactMap { partition -> (TopicPartition, CommittedOffset)? in
                guard catalog.log(topic.name, partition.index) != nil else { return nil }
                return (
                    TopicPartition(topic: topic.name, partition: partition.index),
                    CommittedOffset(
                        offset: partition.offset, leaderEpoch: partition.leaderEpoch,
                        metadata: partition.metadata ?? "", commitTime: now)
                )
            }
        }
        let decision = decide(known)
        apply(decision.directives)
        var answers = decision.answer.makeIterator()
        return topics.map { topic in
            OffsetCommitTopicResult(
                name: topic.name,
                partitions: topic.partitions.map {
                    let isKnown = catalog.log(topic.name, $0.index) != nil
                    let error = isKnown ? answers.next() ?? .unknownServerError : .unknownTopicOrPartition
                    return OffsetCommitPartitionResult(index: $0.index, error: error)
                })
        }
    }

    func offsetDelete(_ request: OffsetDeleteRequest, _ context: RequestContext) {
        let partitions = request.topics.flatMap { topic in
            topic.partitions.map { TopicPartition(topic: topic.name, partition: $0.index) }
        }
        let decision = groups.deleteOffsets(groupID: request.groupID, partitions: partitions, now: now)
        apply(decision.directives)
        var response = OffsetDeleteResponse(error: decision.answer.group)
        if response.error == .none {
            var answers = decision.answer.partitions.makeIterator()
            response.topics = request.topics.map { topic in
                OffsetCommitTopicResult(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        let answer = answers.next() ?? .unknownServerError
                        let isKnown = catalog.log(topic.name, $0.index) != nil
                        return OffsetCommitPartitionResult(
                            index: $0.index, error: isKnown ? answer : .unknownTopicOrPartition)
                    })
            }
        }
        committer.whenDurable { context.respond(response) }
    }

    func offsetFetch(_ request: OffsetFetchRequest, _ context: RequestContext) {
        var response = OffsetFetchResponse()
        if context.version < 8 {
            // Version 1 cannot say null, so an empty list there means nothing.
            response.topics = fetchOffsets(request.groupID, request.topics, request.requiresStable)
        } else {
            response.groups = request.groups.withoutRepetitions(of: \.groupID).map {
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
        }.withoutRepetitions
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
