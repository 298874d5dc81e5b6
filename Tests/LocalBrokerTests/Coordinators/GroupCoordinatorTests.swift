import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("GroupCoordinator: membership")
struct GroupMembershipTests {
    /// A stable group of dynamic members; the first is the leader.
    func stable(_ count: Int, in harness: inout GroupHarness) throws -> [JoinAnswer] {
        var tokens = [harness.join()]
        var members = [try #require(harness.joined[tokens[0]])]
        for _ in 1..<max(count, 1) {
            let token = harness.join()
            tokens = members.map { harness.join($0.memberID) } + [token]
            members = try tokens.map { try #require(harness.joined[$0]) }
        }
        let generation = members[0].generation
        let assignments = Dictionary(
            uniqueKeysWithValues: members.enumerated().map { ($1.memberID, [UInt8($0)]) })
        for member in members {
            let isLeader = member.memberID == member.leaderID
            harness.sync(member.memberID, generation: generation, assignments: isLeader ? assignments : [:])
        }
        #expect(harness.coordinator.describe(groupID: "g").state == "Stable")
        return members
    }

    @Test("a first join is sent back with a member id, and joins with it")
    func memberIDRequired() throws {
        var harness = GroupHarness()
        let first = try #require(harness.joined[harness.join(requiresKnownMemberID: true)])
        #expect(first.error == .memberIDRequired)
        #expect(first.memberID.hasPrefix("c-"))
        let second = try #require(harness.joined[harness.join(first.memberID, requiresKnownMemberID: true)])
        #expect(second.error == .none)
        #expect(second.generation == 1)
        #expect(second.leaderID == first.memberID)
        #expect(second.members.map(\.memberID) == [first.memberID])
    }

    @Test("a new group waits for its initial delay, so that members who start together share the first generation")
    func initialDelay() throws {
        var harness = GroupHarness(initialRebalanceDelay: .milliseconds(100))
        let first = harness.join()
        harness.advance(by: .milliseconds(60))
        let second = harness.join()
        harness.advance(by: .milliseconds(60))
        #expect(harness.joined.isEmpty, "a newcomer prolongs the wait")
        harness.advance(by: .milliseconds(100))
        let answers = try [first, second].map { try #require(harness.joined[$0]) }
        #expect(answers.map(\.generation) == [1, 1])
        #expect(answers[0].members.count == 2)
        #expect(answers[1].members.isEmpty)
    }

    @Test("everybody gets its part of the leader's assignment, whether it asked before or after the leader")
    func assignment() throws {
        var harness = GroupHarness()
        let members = try stable(3, in: &harness)
        let description = harness.coordinator.describe(groupID: "g")
        #expect(description.members.map(\.assignment) == [[0], [1], [2]])
        let again = harness.sync(members[2].memberID, generation: members[2].generation)
        #expect(harness.synced[again]?.assignment == [2])
        #expect(harness.synced.values.allSatisfy { $0.error == .none })
    }

    @Test("the protocol is one that all offer and most prefer; a member without a common one is refused")
    func protocolSelection() throws {
        var harness = GroupHarness(initialRebalanceDelay: .milliseconds(10))
        harness.join(protocols: ["range", "roundrobin"])
        harness.join(protocols: ["sticky", "roundrobin", "range"])
        harness.join(protocols: ["roundrobin", "range"])
        let refused = harness.join(protocols: ["sticky"])
        #expect(harness.joined[refused]?.error == .inconsistentGroupProtocol)
        harness.advance(by: .seconds(1))
        #expect(Set(harness.joined.values.compactMap(\.protocolName)) == ["roundrobin"])
    }

    @Test("a joining member starts a rebalance that the others learn from their heartbeats")
    func rebalance() throws {
        var harness = GroupHarness()
        let old = try stable(1, in: &harness)[0]
        let token = harness.join()
        #expect(harness.joined[token] == nil)
        #expect(harness.heartbeat(old.memberID, generation: 1) == .rebalanceInProgress)
        // Offsets may still be committed while members gather.
        let membership = GroupMembership(generation: 1, memberID: old.memberID)
        #expect(harness.commit(5, membership: membership) == .none)
        harness.join(old.memberID)
        #expect(harness.joined[token]?.generation == 2)
        #expect(harness.heartbeat(old.memberID, generation: 1) == .illegalGeneration)
        #expect(harness.commit(6, membership: membership) == .illegalGeneration)
        #expect(harness.heartbeat(old.memberID, generation: 2) == .none)
        // … and not between join and sync, when nobody knows what it owns.
        #expect(
            harness.commit(6, membership: GroupMembership(generation: 2, memberID: old.memberID))
                == .rebalanceInProgress)
    }

    @Test("a member that does not come to the rebalance in time is left out")
    func rebalanceTimeout() throws {
        var harness = GroupHarness()
        let members = try stable(2, in: &harness)
        let newcomer = harness.join()
        let token = harness.join(members[1].memberID)
        for _ in 0..<7 {
            harness.advance(by: .seconds(4))
            #expect(harness.heartbeat(members[0].memberID, generation: members[0].generation) == .rebalanceInProgress)
        }
        harness.advance(by: .seconds(4))
        let answer = try #require(harness.joined[newcomer])
        #expect(answer.error == .none)
        #expect(harness.joined[token]?.generation == answer.generation)
        #expect(harness.coordinator.describe(groupID: "g").members.count == 2)
        #expect(harness.heartbeat(members[0].memberID, generation: answer.generation) == .unknownMemberID)
    }

    @Test("a member that falls silent is evicted after its session time-out and its place is given to others")
    func sessionTimeout() throws {
        var harness = GroupHarness()
        let members = try stable(2, in: &harness)
        harness.advance(by: .seconds(6))
        #expect(harness.heartbeat(members[0].memberID, generation: 2) == .none)
        harness.advance(by: .seconds(5))
        #expect(harness.heartbeat(members[0].memberID, generation: 2) == .rebalanceInProgress)
        #expect(harness.heartbeat(members[1].memberID, generation: 2) == .unknownMemberID)
        let token = harness.join(members[0].memberID)
        let answer = try #require(harness.joined[token])
        #expect(answer.generation == 3)
        #expect(answer.members.map(\.memberID) == [members[0].memberID])
    }

    @Test("a leader that dies between join and sync does not block the others")
    func silentLeader() throws {
        var harness = GroupHarness(initialRebalanceDelay: .milliseconds(10))
        let tokens = [
            harness.join(session: .seconds(6), rebalance: .seconds(8)),
            harness.join(session: .seconds(6), rebalance: .seconds(8)),
        ]
        harness.advance(by: .milliseconds(50))
        let answers = try tokens.map { try #require(harness.joined[$0]) }
        let follower = answers[1].memberID
        let held = harness.sync(follower, generation: 1)
        #expect(harness.synced[held] == nil)
        harness.advance(by: .seconds(7))
        #expect(harness.synced[held]?.error == .rebalanceInProgress)
        let again = harness.join(follower)
        #expect(harness.joined[again]?.leaderID == follower)
        let own = harness.sync(follower, generation: 2, assignments: [follower: [9]])
        #expect(harness.synced[own]?.assignment == [9])
    }

    @Test("a member that never asks for its assignment is removed after the rebalance time")
    func missingSync() throws {
        var harness = GroupHarness(initialRebalanceDelay: .milliseconds(10))
        let tokens = [harness.join(), harness.join()]
        harness.advance(by: .milliseconds(50))
        let answers = try tokens.map { try #require(harness.joined[$0]) }
        let leader = answers[0].memberID
        harness.sync(leader, generation: 1, assignments: [leader: [1], answers[1].memberID: [2]])
        for _ in 0..<7 {
            harness.advance(by: .seconds(4))
            #expect(harness.heartbeat(leader, generation: 1) == .none)
            #expect(harness.heartbeat(answers[1].memberID, generation: 1) == .none)
        }
        harness.advance(by: .seconds(4))
        #expect(harness.heartbeat(answers[1].memberID, generation: 1) == .unknownMemberID)
        #expect(harness.heartbeat(leader, generation: 1) == .rebalanceInProgress)
    }

    @Test("leaving hands the place on at once; the last one leaves an empty group")
    func leave() throws {
        var harness = GroupHarness()
        let members = try stable(2, in: &harness)
        #expect(harness.leave(members[0].memberID) == .none)
        #expect(harness.leave(members[0].memberID) == .unknownMemberID)
        let token = harness.join(members[1].memberID)
        #expect(harness.joined[token]?.leaderID == members[1].memberID)
        #expect(harness.leave(members[1].memberID) == .none)
        #expect(harness.coordinator.describe(groupID: "g").state == "Empty")
        #expect(harness.groups["g"]?.members.isEmpty == true)
    }

    @Test("a static member comes back under a new member id without a rebalance; its old self is fenced")
    func staticMember() throws {
        var harness = GroupHarness(initialRebalanceDelay: .milliseconds(10))
        let tokens = [harness.join(instanceID: "a"), harness.join(instanceID: "b")]
        harness.advance(by: .milliseconds(50))
        let answers = try tokens.map { try #require(harness.joined[$0]) }
        let (leader, old) = (answers[0].memberID, answers[1].memberID)
        harness.sync(leader, generation: 1, assignments: [leader: [1], old: [2]], instanceID: "a")
        harness.sync(old, generation: 1, instanceID: "b")

        let back = try #require(harness.joined[harness.join(instanceID: "b")])
        #expect(back.error == .none)
        #expect(back.generation == 1)
        #expect(back.memberID != old)
        let token = harness.sync(back.memberID, generation: 1, instanceID: "b")
        #expect(harness.synced[token]?.assignment == [2])
        #expect(harness.heartbeat(old, generation: 1, instanceID: "b") == .fencedInstanceID)
        #expect(harness.synced[harness.sync(old, generation: 1, instanceID: "b")]?.error == .fencedInstanceID)
        #expect(harness.joined[harness.join(old, instanceID: "b")]?.error == .fencedInstanceID)
        #expect(
            harness.commit(1, membership: GroupMembership(generation: 1, memberID: old, instanceID: "b"))
                == .fencedInstanceID)
        #expect(harness.leave(old, instanceID: "b") == .fencedInstanceID)
        #expect(harness.coordinator.describe(groupID: "g").state == "Stable")

        // A static leader that comes back is told not to assign again (v9), or that somebody else leads (before).
        let new = try #require(harness.joined[harness.join(instanceID: "a", supportsSkippingAssignment: true)])
        #expect(new.skipAssignment)
        #expect(new.leaderID == new.memberID)
        #expect(new.members.count == 2)
        let newest = try #require(harness.joined[harness.join(instanceID: "a")])
        #expect(!newest.skipAssignment)
        #expect(newest.leaderID == new.memberID)
        #expect(newest.members.isEmpty)
        #expect(harness.leave("", instanceID: "a") == .none)
        #expect(harness.leave("", instanceID: "zzz") == .unknownMemberID)
    }

    @Test("a member that says too much is refused, and so is one too much for its group; the others go on")
    func bounds() throws {
        var configuration = GroupCoordinator.Configuration()
        configuration.initialRebalanceDelay = .milliseconds(10)
        configuration.maximumNameBytes = 8
        configuration.maximumProtocols = 2
        configuration.maximumSubscriptionBytes = 100
        configuration.maximumGroupBytes = 250
        var harness = GroupHarness(configuration: configuration)
        let long = "ninebytes"
        #expect(harness.joined[harness.join(group: long)]?.error == .invalidGroupID)
        #expect(harness.joined[harness.join(instanceID: long)]?.error == .invalidRequest)
        #expect(harness.joined[harness.join(protocols: [long])]?.error == .invalidRequest)
        #expect(harness.joined[harness.join(protocols: ["a", "b", "c"])]?.error == .invalidRequest)
        let metadata = [UInt8](repeating: 7, count: 51)
        #expect(harness.joined[harness.join(protocols: ["a", "b"], metadata: metadata)]?.error == .policyViolation)
        #expect(harness.commit(1, group: long) == .invalidGroupID)
        #expect(harness.coordinator.list().isEmpty)

        let hundred = [UInt8](repeating: 7, count: 100)
        let tokens = ["a", "b"].map { harness.join(instanceID: $0, metadata: hundred) }
        harness.advance(by: .milliseconds(50))
        #expect(harness.joined[harness.join(instanceID: "c", metadata: hundred)]?.error == .groupMaximumSizeReached)
        // Who is in the group already counts once.
        let members = try tokens.map { try #require(harness.joined[$0]) }
        #expect(members.map(\.error) == [.none, .none])
        let back = harness.join(members[1].memberID, instanceID: "b", metadata: hundred)
        harness.advance(by: .milliseconds(50))
        #expect(harness.joined[back]?.error != .groupMaximumSizeReached)
        let leader = members[0]
        let flood = [leader.memberID: [UInt8](repeating: 1, count: 251)]
        let sync = harness.sync(leader.memberID, generation: leader.generation, assignments: flood, instanceID: "a")
        #expect(harness.synced[sync]?.error == .policyViolation)
    }

    @Test("wrong requests get their error codes")
    func refusals() throws {
        var harness = GroupHarness()
        #expect(harness.joined[harness.join(group: "")]?.error == .invalidGroupID)
        #expect(harness.joined[harness.join("stranger")]?.error == .unknownMemberID)
        #expect(harness.joined[harness.join(session: .milliseconds(999))]?.error == .invalidSessionTimeout)
        #expect(harness.joined[harness.join(session: .seconds(1801))]?.error == .invalidSessionTimeout)
        #expect(harness.joined[harness.join(protocols: [])]?.error == .inconsistentGroupProtocol)
        #expect(harness.synced[harness.sync("x", generation: 1, group: "none")]?.error == .unknownMemberID)
        let member = try stable(1, in: &harness)[0]
        #expect(harness.heartbeat(member.memberID, generation: 7) == .illegalGeneration)
        #expect(harness.heartbeat("x", generation: 1) == .unknownMemberID)
        #expect(harness.synced[harness.sync(member.memberID, generation: 7)]?.error == .illegalGeneration)
        let other = harness.sync(member.memberID, generation: member.generation, protocolName: "sticky")
        #expect(harness.synced[other]?.error == .inconsistentGroupProtocol)
        #expect(harness.joined[harness.join("stranger")]?.error == .unknownMemberID)
    }

    @Test("offsets from before a clock was set back do not outlast those of later transactions")
    func clockSetBack() {
        var harness = GroupHarness()
        #expect(harness.commit(7) == .none)
        harness.now = Timestamp(millisecondsSinceEpoch: 500_000)
        harness.restart()
        #expect(harness.hold(9, producerID: 1) == .none)
        harness.complete(1, .commit)
        #expect(harness.fetch().committed?.offset == 9)
    }

    @Test("after a restart members go on in their generation; those that are gone are evicted")
    func restart() throws {
        var harness = GroupHarness()
        let members = try stable(2, in: &harness)
        harness.advance(by: .seconds(9))
        harness.restart()
        harness.advance(by: .seconds(9))
        #expect(harness.heartbeat(members[0].memberID, generation: 2) == .none)
        let token = harness.sync(members[0].memberID, generation: 2)
        #expect(harness.synced[token]?.assignment == [0])
        harness.advance(by: .seconds(2))
        #expect(harness.heartbeat(members[0].memberID, generation: 2) == .rebalanceInProgress)
        #expect(harness.heartbeat(members[1].memberID, generation: 2) == .unknownMemberID)
    }
}

@Suite("GroupCoordinator: offsets")
struct GroupOffsetTests {
    @Test("offsets of a transaction appear when it commits; until then a stable fetch is told to wait")
    func transactional() {
        var harness = GroupHarness()
        #expect(harness.commit(10) == .none)
        #expect(harness.hold(20, producerID: 7) == .none)
        #expect(harness.fetch().committed?.offset == 10)
        #expect(harness.fetch(requireStable: true).error == .unstableOffsetCommit)
        #expect(harness.fetch(partition: 1, requireStable: true).error == .none)
        harness.restart()
        #expect(harness.fetch(requireStable: true).error == .unstableOffsetCommit)
        harness.complete(7, .commit)
        #expect(harness.fetch(requireStable: true).committed?.offset == 20)
        _ = harness.hold(30, producerID: 7)
        harness.complete(7, .abort)
        #expect(harness.fetch(requireStable: true).committed?.offset == 20)
        #expect(harness.pending.isEmpty)
    }

    @Test("an offset committed outside a transaction after it is newer, and stays")
    func newerPlainCommit() {
        var harness = GroupHarness()
        _ = harness.hold(20, producerID: 7)
        harness.advance(by: .milliseconds(5))
        _ = harness.commit(25)
        harness.complete(7, .commit)
        #expect(harness.fetch().committed?.offset == 25)
    }

    @Test("only members may commit while there are members; anyone may when there are none")
    func admission() throws {
        var harness = GroupHarness()
        #expect(harness.commit(1) == .none)
        #expect(harness.commit(1, membership: GroupMembership(generation: 3, memberID: "x")) == .unknownMemberID)
        #expect(
            harness.commit(1, membership: GroupMembership(generation: 3, memberID: "x"), group: "other")
                == .illegalGeneration)
        let member = try #require(harness.joined[harness.join()])
        harness.sync(member.memberID, generation: 1, assignments: [member.memberID: []])
        #expect(harness.commit(2) == .illegalGeneration)
        #expect(harness.commit(2, membership: GroupMembership(generation: 1, memberID: member.memberID)) == .none)
        #expect(harness.fetch().committed?.offset == 2)
    }

    @Test("metadata has a limit")
    func metadataLimit() {
        var harness = GroupHarness()
        let partition = TopicPartition(topic: "t", partition: 0)
        let long = CommittedOffset(
            offset: 1, metadata: String(repeating: "x", count: 4097), commitTime: harness.now)
        let decision = harness.coordinator.commitOffsets(
            groupID: "g", membership: .simple, offsets: [(partition, long)], now: harness.now)
        #expect(decision.answer == [.offsetMetadataTooLarge])
        #expect(decision.directives.isEmpty)
    }

    @Test("an empty group's offsets expire after the retention, those of a group with members never")
    func retention() throws {
        var harness = GroupHarness(offsetRetention: .seconds(3600))
        let member = try #require(harness.joined[harness.join(session: .seconds(1800))])
        harness.sync(member.memberID, generation: 1, assignments: [:])
        let membership = GroupMembership(generation: 1, memberID: member.memberID)
        #expect(harness.commit(1, membership: membership) == .none)
        for _ in 0..<8 {
            harness.advance(by: .seconds(1500))
            #expect(harness.heartbeat(member.memberID, generation: 1) == .none)
        }
        #expect(harness.fetch().committed?.offset == 1)
        #expect(harness.leave(member.memberID) == .none)
        harness.advance(by: .seconds(3000))
        #expect(harness.fetch().committed?.offset == 1)
        harness.advance(by: .seconds(1300))
        #expect(harness.fetch().committed == nil)
        #expect(harness.offsets["g"]?.isEmpty == true)
        #expect(harness.coordinator.describe(groupID: "g").state == "Dead")
        #expect(harness.groups.isEmpty)
    }

    @Test("groups and offsets are deleted only when nobody uses them")
    func deletion() throws {
        var harness = GroupHarness()
        #expect(harness.coordinator.delete(groupID: "g", now: harness.now).answer == .groupIDNotFound)
        let subscription: [UInt8] = [0, 1, 0, 0, 0, 1, 0, 1, UInt8(ascii: "t"), 255, 255, 255, 255]
        let member = try #require(harness.joined[harness.join(metadata: subscription)])
        harness.sync(member.memberID, generation: 1, assignments: [:])
        let membership = GroupMembership(generation: 1, memberID: member.memberID)
        _ = harness.commit(1, membership: membership)
        #expect(harness.coordinator.delete(groupID: "g", now: harness.now).answer == .nonEmptyGroup)
        let partitions = [TopicPartition(topic: "t", partition: 0), TopicPartition(topic: "u", partition: 0)]
        let partial = harness.coordinator.deleteOffsets(groupID: "g", partitions: partitions, now: harness.now)
        #expect(partial.answer.group == .none)
        #expect(partial.answer.partitions == [.groupSubscribedToTopic, .none])
        _ = harness.leave(member.memberID)
        let deleted = harness.coordinator.delete(groupID: "g", now: harness.now)
        #expect(deleted.answer == .none)
        harness.apply(deleted.directives)
        #expect(harness.fetch().committed == nil)
        #expect(harness.coordinator.list().isEmpty)
    }

    @Test("offsets of a deleted topic go with it")
    func forgetTopic() {
        var harness = GroupHarness()
        _ = harness.commit(1)
        _ = harness.hold(2, producerID: 7)
        harness.apply(harness.coordinator.forget(topic: "t"))
        harness.complete(7, .commit)
        #expect(harness.fetch().committed == nil)
        #expect(harness.pending.isEmpty)
    }

    @Test("a subscription that is cut anywhere is survived", arguments: 0..<13)
    func cutSubscription(length: Int) {
        let whole: [UInt8] = [0, 1, 0, 0, 0, 2, 0, 1, 65, 0, 2, 66, 67]
        let topics = ConsumerGroup.topics(inSubscription: Array(whole.prefix(length)))
        #expect(topics == nil)
        #expect(ConsumerGroup.topics(inSubscription: whole) == ["A", "BC"])
        #expect(ConsumerGroup.topics(inSubscription: [0, 1, 255, 255, 255, 255]) == nil)
    }
}
