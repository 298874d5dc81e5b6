import OrchestraCore

/// The membership of one consumer group: Kafka's classic group protocol as a state machine.
///
/// A generation is made in two steps. *Joining*: every member sends JoinGroup and is held until all have (or the
/// rebalance time is up: dynamic members that did not come are dropped), then all are answered with the new generation
/// number, and the leader with everybody's subscription. *Syncing*: the leader sends the assignment with SyncGroup; each
/// member's SyncGroup is held until then. So at most one assignment exists per generation, and a member learns it only
/// by asking with that generation. Whoever is late or gone is told ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID,
/// REBALANCE_IN_PROGRESS or, a static member whose instance id was taken over, FENCED_INSTANCE_ID.
///
/// The rules are those of `GroupCoordinator.scala` and `GroupMetadata.scala` of Apache Kafka 3.x. A held request that
/// the same member repeats is answered with REBALANCE_IN_PROGRESS (Kafka forgets it), so that each is answered once.
struct ConsumerGroup: Sendable {
    /// One member of the present or the coming generation.
    struct Member: Sendable {
        var memberID: String
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var sessionTimeout: Duration
        var rebalanceTimeout: Duration
        var protocols: [GroupProtocol]
        var assignment: [UInt8] = []
        /// When it is evicted unless it is heard of; does not count while a request of it is held.
        var sessionDeadline: Timestamp
        var heldJoin: RequestToken?
        var heldSync: RequestToken?
        /// It has not asked for its assignment of this generation yet.
        var owesSync = false

        var isHeld: Bool { heldJoin != nil || heldSync != nil }

        func metadata(for protocolName: String?) -> [UInt8] {
            protocols.first { $0.name == protocolName }?.metadata ?? []
        }
    }

    /// While the members of a new generation gather.
    struct Gathering: Sendable {
        var deadline: Timestamp
        /// Set for the first generation of an empty group, which waits for `initialRebalanceDelay` and again as long as
        /// newcomers arrive; what is left of the rebalance time for that.
        var remainingDelay: Duration?
        var sawNewcomer = false
    }

    enum State: Sendable {
        /// No members; perhaps offsets. Next: preparingRebalance.
        case empty(since: Timestamp)
        /// Members gather. Next: completingRebalance, empty.
        case preparingRebalance(Gathering)
        /// The leader computes the assignment. Next: stable, preparingRebalance.
        case completingRebalance
        /// Everybody may ask for its assignment. Next: preparingRebalance.
        case stable

        var kafkaName: String {
            switch self {
            case .empty: "Empty"
            case .preparingRebalance: "PreparingRebalance"
            case .completingRebalance: "CompletingRebalance"
            case .stable: "Stable"
            }
        }
    }

    let groupID: String
    let configuration: GroupCoordinator.Configuration
    var state: State
    var protocolType: String?
    var protocolName: String?
    var generation: Int32 = 0
    var leaderID: String?
    /// In order of joining.
    var members: [Member] = []
    /// Member ids that were handed out with MEMBER_ID_REQUIRED and have not come back, until when.
    var promisedIDs: [String: Timestamp] = [:]
    /// Until when every member of this generation must have sent SyncGroup.
    var syncDeadline: Timestamp?

    init(groupID: String, configuration: GroupCoordinator.Configuration, now: Timestamp) {
        self.groupID = groupID
        self.configuration = configuration
        state = .empty(since: now)
    }

    /// The group as stored; its members have a full session time-out from `now` on.
    init(restoring row: GroupRow, configuration: GroupCoordinator.Configuration, now: Timestamp) {
        groupID = row.groupID
        self.configuration = configuration
        protocolType = row.protocolType
        protocolName = row.protocolName
        generation = row.generation
        leaderID = row.leaderID
        members = row.members.map { member in
            let sessionTimeout = Duration.milliseconds(member.sessionTimeoutMilliseconds)
            return Member(
                memberID: member.memberID, instanceID: member.instanceID, clientID: member.clientID,
                clientHost: member.clientHost, sessionTimeout: sessionTimeout,
                rebalanceTimeout: .milliseconds(member.rebalanceTimeoutMilliseconds), protocols: member.protocols,
                assignment: member.assignment, sessionDeadline: now.advanced(by: sessionTimeout))
        }
        state = members.isEmpty ? .empty(since: row.emptySince ?? now) : .stable
    }

    // MARK: - Questions

    var isEmpty: Bool { if case .empty = state { true } else { false } }

    /// Since when the group has no members.
    var emptySince: Timestamp? { if case .empty(let since) = state { since } else { nil } }

    var row: GroupRow {
        GroupRow(
            groupID: groupID, protocolType: protocolType, protocolName: protocolName, generation: generation,
            leaderID: leaderID,
            members: members.map {
                GroupRow.Member(
                    memberID: $0.memberID, instanceID: $0.instanceID, clientID: $0.clientID,
                    clientHost: $0.clientHost, sessionTimeoutMilliseconds: $0.sessionTimeout.wholeMilliseconds,
                    rebalanceTimeoutMilliseconds: $0.rebalanceTimeout.wholeMilliseconds, protocols: $0.protocols,
                    assignment: $0.assignment)
            },
            emptySince: emptySince)
    }

    var description: GroupDescription {
        let isStable = if case .stable = state { true } else { false }
        return GroupDescription(
            state: state.kafkaName, protocolType: protocolType ?? "", protocolName: isStable ? protocolName ?? "" : "",
            members: members.map {
                GroupDescription.Member(
                    memberID: $0.memberID, instanceID: $0.instanceID, clientID: $0.clientID,
                    clientHost: $0.clientHost, metadata: isStable ? $0.metadata(for: protocolName) : [],
                    assignment: isStable ? $0.assignment : [])
            })
    }

    func index(of memberID: String) -> Int? { members.firstIndex { $0.memberID == memberID } }

    func index(ofInstance instanceID: String) -> Int? { members.firstIndex { $0.instanceID == instanceID } }

    /// Finds the member that a request claims to come from.
    func member(_ memberID: String, instanceID: String?) -> Result<Int, KafkaErrorCode> {
        if let instanceID {
            guard let index = index(ofInstance: instanceID) else { return .failure(.unknownMemberID) }
            return members[index].memberID == memberID ? .success(index) : .failure(.fencedInstanceID)
        }
        guard let index = index(of: memberID) else { return .failure(.unknownMemberID) }
        return .success(index)
    }

    /// When ``expire(now:directives:)`` has something to do next.
    var nextDeadline: Timestamp? {
        var deadline = syncDeadline
        func consider(_ other: Timestamp) { deadline = min(deadline ?? other, other) }
        if case .preparingRebalance(let gathering) = state { consider(gathering.deadline) }
        for member in members where !member.isHeld { consider(member.sessionDeadline) }
        for promised in promisedIDs.values { consider(promised) }
        return deadline
    }

    // MARK: - Small steps

    mutating func touch(_ index: Int, now: Timestamp) {
        members[index].sessionDeadline = now.advanced(by: members[index].sessionTimeout)
    }

    /// The longest that any member asked to be waited for. A client that asks for nothing gets a moment, so that a
    /// rebalance nobody can complete does not turn into a busy loop.
    var rebalanceTimeout: Duration {
        guard let longest = members.map(\.rebalanceTimeout).max() else { return .zero }
        return max(longest, .milliseconds(10))
    }

    /// The protocol that every member offers and most of them prefer; among equals the one met first.
    func selectProtocol() -> String? {
        guard let first = members.first else { return nil }
        let candidates = first.protocols.map(\.name).filter { name in
            members.allSatisfy { $0.protocols.contains { $0.name == name } }
        }
        var votes: [String: Int] = [:]
        for member in members {
            if let choice = member.protocols.first(where: { candidates.contains($0.name) })?.name {
                votes[choice, default: 0] += 1
            }
        }
        return candidates.reduce(nil as String?) { best, candidate in
            guard let best else { return candidate }
            return votes[candidate, default: 0] > votes[best, default: 0] ? candidate : best
        }
    }

    /// May a member with these protocols be part of the group?
    func supports(_ type: String, _ protocols: [GroupProtocol]) -> Bool {
        guard !type.isEmpty, !protocols.isEmpty else { return false }
        guard !members.isEmpty else { return true }
        return protocolType == type
            && protocols.contains { offered in
                members.allSatisfy { $0.protocols.contains { $0.name == offered.name } }
            }
    }
}
