import OrchestraCore
import Testing

@testable import LocalBroker

/// A group coordinator with the answers and rows that its directives produced, as a shell would keep them.
struct GroupHarness {
    var coordinator: GroupCoordinator
    var now = Timestamp(millisecondsSinceEpoch: 1_000_000)
    var joined: [RequestToken: JoinAnswer] = [:]
    var synced: [RequestToken: SyncAnswer] = [:]
    /// Tokens that were answered more than once; must stay empty.
    var answeredTwice: [RequestToken] = []
    var groups: [String: GroupRow] = [:]
    var offsets: [String: [TopicPartition: CommittedOffset]] = [:]
    var pending: [PendingOffsetRow] = []
    private var lastToken: UInt64 = 0
    private var lastSuffix = 0
    let configuration: GroupCoordinator.Configuration

    init(initialRebalanceDelay: Duration = .zero, offsetRetention: Duration = .seconds(7 * 24 * 3600)) {
        var configuration = GroupCoordinator.Configuration()
        configuration.initialRebalanceDelay = initialRebalanceDelay
        configuration.offsetRetention = offsetRetention
        self.init(configuration: configuration)
    }

    init(configuration: GroupCoordinator.Configuration) {
        self.configuration = configuration
        coordinator = GroupCoordinator(configuration: configuration, now: now)
    }

    mutating func token() -> RequestToken {
        lastToken += 1
        return RequestToken(rawValue: lastToken)
    }

    @discardableResult
    mutating func join(
        _ memberID: String = "", instanceID: String? = nil, group: String = "g", requiresKnownMemberID: Bool = false,
        protocols: [String] = ["range"], metadata: [UInt8] = [], session: Duration = .seconds(10),
        rebalance: Duration = .seconds(30), supportsSkippingAssignment: Bool = false
    ) -> RequestToken {
        let token = token()
        lastSuffix += 1
        let request = JoinRequest(
            groupID: group, memberID: memberID, instanceID: instanceID, clientID: "c", clientHost: "/127.0.0.1",
            protocolType: "consumer", protocols: protocols.map { GroupProtocol(name: $0, metadata: metadata) },
            sessionTimeout: session, rebalanceTimeout: rebalance, requiresKnownMemberID: requiresKnownMemberID,
            supportsSkippingAssignment: supportsSkippingAssignment)
        apply(coordinator.join(request, token: token, uniqueSuffix: "\(lastSuffix)", now: now))
        return token
    }

    @discardableResult
    mutating func sync(
        _ memberID: String, generation: Int32, assignments: [String: [UInt8]] = [:], group: String = "g",
        instanceID: String? = nil, protocolName: String? = nil
    ) -> RequestToken {
        let token = token()
        let request = SyncRequest(
            groupID: group, generation: generation, memberID: memberID, instanceID: instanceID, protocolType: nil,
            protocolName: protocolName, assignments: assignments)
        apply(coordinator.sync(request, token: token, now: now))
        return token
    }

    mutating func heartbeat(_ memberID: String, generation: Int32, instanceID: String? = nil) -> KafkaErrorCode {
        coordinator.heartbeat(
            groupID: "g",
            membership: GroupMembership(generation: generation, memberID: memberID, instanceID: instanceID), now: now)
    }

    mutating func leave(_ memberID: String, instanceID: String? = nil) -> KafkaErrorCode {
        let decision = coordinator.leave(
            groupID: "g", members: [LeavingMember(memberID: memberID, instanceID: instanceID)], now: now)
        apply(decision.directives)
        return decision.answer[0]
    }

    mutating func commit(
        _ offset: Int64, partition: Int32 = 0, membership: GroupMembership = .simple, group: String = "g"
    ) -> KafkaErrorCode {
        let decision = coordinator.commitOffsets(
            groupID: group, membership: membership,
            offsets: [(TopicPartition(topic: "t", partition: partition), committed(offset))], now: now)
        apply(decision.directives)
        return decision.answer[0]
    }

    mutating func hold(_ offset: Int64, producerID: Int64, partition: Int32 = 0) -> KafkaErrorCode {
        let decision = coordinator.commitTransactionalOffsets(
            groupID: "g", producerID: producerID, membership: .simple,
            offsets: [(TopicPartition(topic: "t", partition: partition), committed(offset))], now: now)
        apply(decision.directives)
        return decision.answer[0]
    }

    mutating func complete(_ producerID: Int64, _ outcome: TransactionOutcome) {
        apply(coordinator.completeTransaction(producerID: producerID, groups: ["g"], outcome: outcome, now: now))
    }

    func fetch(partition: Int32 = 0, requireStable: Bool = false, group: String = "g") -> FetchedOffset {
        coordinator.fetchOffsets(
            groupID: group, partitions: [TopicPartition(topic: "t", partition: partition)],
            requireStable: requireStable)[0]
    }

    /// Lets time pass, with every deadline on the way.
    mutating func advance(by duration: Duration) {
        let end = now.advanced(by: duration)
        var wakeUps = 0
        while let deadline = coordinator.nextDeadline, deadline <= end {
            wakeUps += 1
            guard wakeUps < 10_000 else {
                Issue.record("the coordinator wants to be woken at \(deadline) again and again")
                return
            }
            now = max(now, deadline)
            apply(coordinator.expire(now: now))
        }
        now = end
    }

    /// The broker crashes: only the stored rows are left; held requests are never answered.
    mutating func restart() {
        coordinator = GroupCoordinator(
            configuration: configuration, groups: groups.values.sorted { $0.groupID < $1.groupID },
            offsets: offsets.flatMap { groupID, held in
                held.map { OffsetRow(groupID: groupID, partition: $0.key, committed: $0.value) }
            },
            pendingOffsets: pending, now: now)
    }

    func committed(_ offset: Int64) -> CommittedOffset {
        CommittedOffset(offset: offset, metadata: "m", commitTime: now)
    }

    mutating func apply(_ directives: [GroupDirective]) {
        for directive in directives {
            switch directive {
            case .answerJoin(let token, let answer):
                if joined.updateValue(answer, forKey: token) != nil { answeredTwice.append(token) }
            case .answerSync(let token, let answer):
                if synced.updateValue(answer, forKey: token) != nil { answeredTwice.append(token) }
            case .persistGroup(let row): groups[row.groupID] = row
            case .removeGroup(let groupID): groups[groupID] = nil
            case .storeOffset(let groupID, let partition, let offset):
                offsets[groupID, default: [:]][partition] = offset
            case .removeOffset(let groupID, let partition): offsets[groupID]?[partition] = nil
            case .storePendingOffset(let producerID, let groupID, let partition, let offset):
                pending.removeAll {
                    $0.producerID == producerID && $0.groupID == groupID && $0.partition == partition
                }
                pending.append(
                    PendingOffsetRow(
                        producerID: producerID, groupID: groupID, partition: partition, committed: offset))
            case .removePendingOffsets(let producerID, let groupID):
                pending.removeAll { $0.producerID == producerID && $0.groupID == groupID }
            case .removePendingOffset(let groupID, let partition):
                pending.removeAll { $0.groupID == groupID && $0.partition == partition }
            }
        }
    }
}
