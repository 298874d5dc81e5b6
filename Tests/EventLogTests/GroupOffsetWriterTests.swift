import EventLog
import Testing

/// What happens while the group's coordinator is away. That a group begins where it was told is shown in `BrokerTests`.
@Suite(.timeLimit(.minutes(1)))
struct GroupOffsetWriterTests {
    private let offsets = [TopicPartition(topic: "t", partition: 0): Int64(1)]

    private func failure(_ writer: GroupOffsetWriter) async -> EventLogError.Kind? {
        await #expect(throws: EventLogError.self) { try await writer.commit(offsets, timeout: .seconds(1)) }?.kind
    }

    @Test func aCoordinatorThatIsAwayFailsCommitsUntilItIsBack() async throws {
        let cluster = try MockCluster(brokers: 2)
        cluster.createTopic("t", partitions: 1)
        cluster.setCoordinator(ofGroup: "g", broker: 2)
        let writer = try GroupOffsetWriter(cluster.configuration(), groupID: "g", logger: quiet)
        try await writer.commit(offsets, timeout: .seconds(10))
        cluster.setBrokerIsUp(false, 2)
        let start = ContinuousClock.now
        let kind = await failure(writer)
        #expect(kind == .timedOut)
        #expect(.now - start < .seconds(5))
        cluster.setBrokerIsUp(true, 2)
        try await eventually("the coordinator is found again", within: .seconds(20)) {
            do { try await writer.commit(offsets, timeout: .seconds(1)) } catch { return false }
            return true
        }
        await writer.close()
        #expect(await failure(writer) == .closed)
    }

    @Test func closingWithoutACoordinatorEnds() async throws {
        let cluster = try MockCluster()
        cluster.createTopic("t", partitions: 1)
        let writer = try GroupOffsetWriter(cluster.configuration(), groupID: "g", logger: quiet)
        try await writer.commit(offsets, timeout: .seconds(10))
        cluster.setBrokerIsUp(false)
        let start = ContinuousClock.now
        async let commit = failure(writer)
        async let end: Void = writer.close()
        _ = await (commit, end)
        #expect(.now - start < .seconds(4))
    }

    @Test func aCancelledCommitEnds() async throws {
        let cluster = try MockCluster()
        let writer = try GroupOffsetWriter(cluster.configuration(), groupID: "g", logger: quiet)
        cluster.setBrokerIsUp(false)
        // A task, so that it can be cancelled.
        let commit = Task { await failure(writer) }
        commit.cancel()
        #expect(await commit.value == .closed)
        await writer.close()
    }
}
