import OrchestraCore

/// Names a request whose answer comes later (JoinGroup, SyncGroup). The shell chooses it, unique per broker process;
/// it comes back in exactly one ``GroupDirective/answerJoin(_:_:)`` or ``GroupDirective/answerSync(_:_:)``.
struct RequestToken: RawRepresentable, Hashable, Sendable, Comparable {
    var rawValue: UInt64

    static func < (left: RequestToken, right: RequestToken) -> Bool { left.rawValue < right.rawValue }
}

/// An assignment protocol that a member offers, with its subscription.
struct GroupProtocol: Sendable, Hashable, Codable {
    var name: String
    var metadata: [UInt8]
}

/// JoinGroup.
struct JoinRequest: Sendable, Hashable {
    var groupID: String
    /// Empty on the first attempt.
    var memberID: String
    /// Set for static members (v5 and later).
    var instanceID: String?
    var clientID: String
    var clientHost: String
    var protocolType: String
    /// In order of preference.
    var protocols: [GroupProtocol]
    var sessionTimeout: Duration
    /// v0 has none: pass the session time-out.
    var rebalanceTimeout: Duration
    /// True from v4 on: a first join is sent back with MEMBER_ID_REQUIRED.
    var requiresKnownMemberID: Bool
    /// True from v9 on: a restarted static leader is told not to compute the assignment again.
    var supportsSkippingAssignment: Bool = false

    var subscriptionBytes: Int { protocols.subscriptionBytes }
}

extension [GroupProtocol] {
    /// What a member's subscription takes, in all its protocols.
    var subscriptionBytes: Int { reduce(0) { $0 + $1.metadata.count } }
}

struct JoinAnswer: Sendable, Hashable {
    struct Member: Sendable, Hashable {
        var memberID: String
        var instanceID: String?
        var metadata: [UInt8]
    }

    var error: KafkaErrorCode
    var generation: Int32 = -1
    var protocolType: String?
    /// nil when there is none (v7 and later; earlier versions send an empty string).
    var protocolName: String?
    var leaderID: String = ""
    /// The leader need not compute an assignment (v9 and later).
    var skipAssignment: Bool = false
    var memberID: String = ""
    /// For the leader: everybody, in order of joining. For others: empty.
    var members: [Member] = []
}

/// SyncGroup.
struct SyncRequest: Sendable, Hashable {
    var groupID: String
    var generation: Int32
    var memberID: String
    var instanceID: String?
    /// nil before v5: not checked.
    var protocolType: String?
    /// nil before v5: not checked.
    var protocolName: String?
    /// From the leader: member id → assignment. From others: empty.
    var assignments: [String: [UInt8]]
}

struct SyncAnswer: Sendable, Hashable {
    var error: KafkaErrorCode
    var protocolType: String?
    var protocolName: String?
    var assignment: [UInt8] = []
}

/// A member as LeaveGroup names it.
struct LeavingMember: Sendable, Hashable {
    /// Empty if only the instance id is known (an administrator removes a static member).
    var memberID: String
    var instanceID: String?
}

/// Who a request claims to be: OffsetCommit, TxnOffsetCommit, Heartbeat.
struct GroupMembership: Sendable, Hashable {
    /// -1 and an empty member id: a simple consumer that is no member.
    var generation: Int32 = -1
    var memberID: String = ""
    var instanceID: String?

    /// Somebody who commits or reads offsets without being a member.
    static let simple = GroupMembership()
}

struct CommittedOffset: Sendable, Hashable, Codable {
    var offset: Int64
    /// -1 if unknown.
    var leaderEpoch: Int32 = -1
    var metadata: String = ""
    var commitTime: Timestamp
}

/// The answer of OffsetFetch for one partition.
struct FetchedOffset: Sendable, Hashable {
    var partition: TopicPartition
    /// UNSTABLE_OFFSET_COMMIT when a transaction with an offset for this partition is open and the caller wants only
    /// stable offsets.
    var error: KafkaErrorCode
    /// nil: nothing committed (-1 on the wire).
    var committed: CommittedOffset?
}

/// What the shell must do for the group coordinator, in order. Storing directives belong into one SQLite transaction;
/// answers are sent after it is on disk.
enum GroupDirective: Sendable, Hashable {
    case answerJoin(RequestToken, JoinAnswer)
    case answerSync(RequestToken, SyncAnswer)
    /// Insert or replace the group's row.
    case persistGroup(GroupRow)
    /// Delete the group's row (its offsets have their own directives).
    case removeGroup(groupID: String)
    /// Insert or replace a committed offset.
    case storeOffset(groupID: String, TopicPartition, CommittedOffset)
    case removeOffset(groupID: String, TopicPartition)
    /// Insert or replace an offset that becomes visible when its transaction commits.
    case storePendingOffset(producerID: Int64, groupID: String, TopicPartition, CommittedOffset)
    /// Delete every pending offset of this producer in this group.
    case removePendingOffsets(producerID: Int64, groupID: String)
    /// Delete the pending offset of every producer for this partition in this group.
    case removePendingOffset(groupID: String, TopicPartition)
}

/// A group as it is stored: one row, written when a generation is complete and when a member leaves it.
struct GroupRow: Sendable, Hashable, Codable {
    struct Member: Sendable, Hashable, Codable {
        var memberID: String
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var sessionTimeoutMilliseconds: Int64
        var rebalanceTimeoutMilliseconds: Int64
        var protocols: [GroupProtocol]
        var assignment: [UInt8]
    }

    var groupID: String
    var protocolType: String?
    var protocolName: String?
    var generation: Int32
    var leaderID: String?
    var members: [Member]
    /// When the group became empty; offsets expire after the retention from then on.
    var emptySince: Timestamp?
}

/// A stored committed offset: one row.
struct OffsetRow: Sendable, Hashable, Codable {
    var groupID: String
    var partition: TopicPartition
    var committed: CommittedOffset
}

/// A stored offset of an open transaction: one row.
struct PendingOffsetRow: Sendable, Hashable, Codable {
    var producerID: Int64
    var groupID: String
    var partition: TopicPartition
    var committed: CommittedOffset
}

/// DescribeGroups.
struct GroupDescription: Sendable, Hashable {
    struct Member: Sendable, Hashable {
        var memberID: String
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var metadata: [UInt8]
        var assignment: [UInt8]
    }

    /// Kafka's name: "Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead".
    var state: String
    var protocolType: String
    var protocolName: String
    var members: [Member]
}

/// ListGroups.
struct GroupListing: Sendable, Hashable {
    var groupID: String
    var protocolType: String
    /// Kafka's name of the state, as in ``GroupDescription/state``.
    var state: String
}
