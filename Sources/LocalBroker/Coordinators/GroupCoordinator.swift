import OrchestraCore

/// All consumer groups: membership in generations (see ``ConsumerGroup``) and committed offsets (``GroupOffsets``).
///
/// A value type without I/O. Every call returns directives: rows to store and answers to send. Time is an argument
/// (one clock for all calls, which must not jump back); the shell calls ``expire(now:)`` when ``nextDeadline`` has
/// come. A group without members and without offsets is forgotten.
struct GroupCoordinator: Sendable {
    struct Configuration: Sendable {
        /// `group.initial.rebalance.delay.ms`: how long a new group waits for more members than the first.
        var initialRebalanceDelay: Duration = .milliseconds(50)
        /// `group.min.session.timeout.ms`.
        var minimumSessionTimeout: Duration = .seconds(1)
        /// `group.max.session.timeout.ms`.
        var maximumSessionTimeout: Duration = .seconds(30 * 60)
        /// `group.max.size`.
        var maximumMembers = 1000
        /// How many groups there may be; more are refused with POLICY_VIOLATION.
        var maximumGroups = 100_000
        /// The longest name of a group, a client, an instance or an assignment protocol, in bytes.
        var maximumNameBytes = 1024
        /// How many assignment protocols a member may offer: each is compared with those of all other members.
        var maximumProtocols = 32
        /// A member's subscription, in all its protocols, in bytes; more are refused with POLICY_VIOLATION. A thousand
        /// topics take about a tenth of it.
        var maximumSubscriptionBytes = 1 << 20
        /// The subscriptions of all members of a group, and their assignments, in bytes each: a group is one row.
        var maximumGroupBytes = 32 << 20
        /// `offset.metadata.max.bytes`.
        var maximumMetadataBytes = 4096
        /// `offsets.retention.minutes`: how long an empty group keeps its offsets.
        var offsetRetention: Duration = .seconds(7 * 24 * 3600)
        /// `offsets.retention.check.interval.ms`.
        var retentionCheckInterval: Duration = .seconds(600)
    }

    let configuration: Configuration
    private(set) var groups: [String: ConsumerGroup] = [:]
    private(set) var offsets: GroupOffsets
    /// When ``expire(now:)`` has something to do next; it may be too early (the member has been heard of), never too
    /// late.
    private(set) var nextDeadline: Timestamp?
    private var nextRetentionCheck: Timestamp

    /// - Parameters:
    ///   - groups, offsets, pendingOffsets: every stored row. Members of restored groups get a full session time-out
    ///     from `now` on.
    init(
        configuration: Configuration = Configuration(), groups: [GroupRow] = [], offsets: [OffsetRow] = [],
        pendingOffsets: [PendingOffsetRow] = [], now: Timestamp
    ) {
        self.configuration = configuration
        self.offsets = GroupOffsets(committed: offsets, pending: pendingOffsets, now: now)
        nextRetentionCheck = now.advanced(by: configuration.retentionCheckInterval)
        nextDeadline = nextRetentionCheck
        for row in groups {
            self.groups[row.groupID] = ConsumerGroup(restoring: row, configuration: configuration, now: now)
        }
        for groupID in self.offsets.groupIDs where self.groups[groupID] == nil {
            self.groups[groupID] = ConsumerGroup(groupID: groupID, configuration: configuration, now: now)
        }
        for group in self.groups.values { noteDeadline(of: group) }
    }

    // MARK: - Membership

    /// JoinGroup. The answer comes as ``GroupDirective/answerJoin(_:_:)`` for `token`, now or later.
    ///
    /// - Parameter uniqueSuffix: a fresh random string (a UUID), used if the member needs an id.
    mutating func join(
        _ request: JoinRequest, token: RequestToken, uniqueSuffix: String, now: Timestamp
    ) -> [GroupDirective] {
        func refuse(_ error: KafkaErrorCode) -> [GroupDirective] {
            [.answerJoin(token, JoinAnswer(error: error, memberID: request.memberID))]
        }
        guard isName(request.groupID) else { return refuse(.invalidGroupID) }
        if let error = excess(in: request) { return refuse(error) }
        guard request.sessionTimeout >= configuration.minimumSessionTimeout,
            request.sessionTimeout <= configuration.maximumSessionTimeout
        else { return refuse(.invalidSessionTimeout) }
        if groups[request.groupID] == nil {
            guard request.memberID.isEmpty else { return refuse(.unknownMemberID) }
            guard !request.protocolType.isEmpty, !request.protocols.isEmpty else {
                return refuse(.inconsistentGroupProtocol)
            }
            guard groups.count < configuration.maximumGroups else { return refuse(.policyViolation) }
            addGroup(request.groupID, now: now)
        }
        return change(request.groupID) { group, directives in
            group.join(request, token: token, uniqueSuffix: uniqueSuffix, now: now, directives: &directives)
        }
    }

    /// SyncGroup. The answer comes as ``GroupDirective/answerSync(_:_:)`` for `token`, now or later.
    mutating func sync(_ request: SyncRequest, token: RequestToken, now: Timestamp) -> [GroupDirective] {
        guard groups[request.groupID] != nil else {
            let error: KafkaErrorCode = request.groupID.isEmpty ? .invalidGroupID : .unknownMemberID
            return [.answerSync(token, SyncAnswer(error: error))]
        }
        return change(request.groupID) { group, directives in
            group.sync(request, token: token, now: now, directives: &directives)
        }
    }

    /// Heartbeat.
    mutating func heartbeat(groupID: String, membership: GroupMembership, now: Timestamp) -> KafkaErrorCode {
        guard !groupID.isEmpty else { return .invalidGroupID }
        return groups[groupID]?.heartbeat(membership, now: now) ?? .unknownMemberID
    }

    /// LeaveGroup. One error per member, in the order given (before v3 there is one member: answer its error).
    mutating func leave(
        groupID: String, members: [LeavingMember], now: Timestamp
    ) -> Decision<[KafkaErrorCode], GroupDirective> {
        guard groups[groupID] != nil else {
            let error: KafkaErrorCode = groupID.isEmpty ? .invalidGroupID : .unknownMemberID
            return Decision(members.map { _ in error })
        }
        var errors: [KafkaErrorCode] = []
        let directives = change(groupID) { group, directives in
            errors = members.map { group.leave($0, now: now, directives: &directives) }
        }
        return Decision(errors, directives)
    }

    // MARK: - Offsets

    /// OffsetCommit. One error per offset, in the order given. The shell has checked that the partitions exist.
    mutating func commitOffsets(
        groupID: String, membership: GroupMembership, offsets: [(TopicPartition, CommittedOffset)], now: Timestamp
    ) -> Decision<[KafkaErrorCode], GroupDirective> {
        if let error = admit(groupID, membership, isTransactional: false, now: now) {
            return Decision(offsets.map { _ in error })
        }
        var directives: [GroupDirective] = []
        let errors = offsets.map { partition, offset in
            guard isShort(offset.metadata) else { return KafkaErrorCode.offsetMetadataTooLarge }
            self.offsets.commit(groupID, partition, offset, directives: &directives)
            return .none
        }
        return Decision(errors, directives)
    }

    /// TxnOffsetCommit: the offsets become visible when the transaction commits. To be called after
    /// ``TransactionCoordinator/verifyOffsetCommit(transactionalID:producer:groupID:)`` has agreed.
    mutating func commitTransactionalOffsets(
        groupID: String, producerID: Int64, membership: GroupMembership,
        offsets: [(TopicPartition, CommittedOffset)], now: Timestamp
    ) -> Decision<[KafkaErrorCode], GroupDirective> {
        if let error = admit(groupID, membership, isTransactional: true, now: now) {
            return Decision(offsets.map { _ in error })
        }
        var directives: [GroupDirective] = []
        let errors = offsets.map { partition, offset in
            guard isShort(offset.metadata) else { return KafkaErrorCode.offsetMetadataTooLarge }
            self.offsets.hold(groupID, producerID: producerID, partition, offset, directives: &directives)
            return .none
        }
        return Decision(errors, directives)
    }

    /// Makes the pending offsets of a producer visible, or drops them.
    mutating func completeTransaction(
        producerID: Int64, groups: [String], outcome: TransactionOutcome, now: Timestamp
    ) -> [GroupDirective] {
        var directives: [GroupDirective] = []
        for groupID in groups {
            offsets.complete(groupID, producerID: producerID, outcome: outcome, directives: &directives)
        }
        return directives
    }

    /// OffsetFetch.
    ///
    /// - Parameter partitions: nil for all that have a committed offset.
    func fetchOffsets(
        groupID: String, partitions: [TopicPartition]?, requireStable: Bool
    ) -> [FetchedOffset] {
        offsets.fetch(groupID, partitions, requireStable: requireStable)
    }

    /// OffsetDelete. The first error concerns the whole group; the others the partitions, in the order given.
    mutating func deleteOffsets(
        groupID: String, partitions: [TopicPartition], now: Timestamp
    ) -> Decision<(group: KafkaErrorCode, partitions: [KafkaErrorCode]), GroupDirective> {
        guard let group = groups[groupID] else { return Decision((.groupIDNotFound, [])) }
        var subscribed: Set<String> = []
        if !group.isEmpty {
            guard group.protocolType == "consumer", let topics = group.subscribedTopics else {
                return Decision((.nonEmptyGroup, []))
            }
            subscribed = topics
        }
        let errors = partitions.map { subscribed.contains($0.topic) ? KafkaErrorCode.groupSubscribedToTopic : .none }
        let removed = Set(partitions.filter { !subscribed.contains($0.topic) })
        var directives: [GroupDirective] = []
        offsets.remove(groupID, where: removed.contains, directives: &directives)
        return Decision((.none, errors), directives)
    }

    // MARK: - Administration

    /// DescribeGroups. An unknown group is described as "Dead" and without an error, as Kafka does.
    func describe(groupID: String) -> GroupDescription {
        groups[groupID]?.description
            ?? GroupDescription(state: "Dead", protocolType: "", protocolName: "", members: [])
    }

    /// ListGroups, sorted by group id.
    func list() -> [GroupListing] {
        groups.values.sorted { $0.groupID < $1.groupID }.map {
            GroupListing(groupID: $0.groupID, protocolType: $0.protocolType ?? "", state: $0.state.kafkaName)
        }
    }

    /// DeleteGroups: only groups without members can be deleted.
    mutating func delete(groupID: String, now: Timestamp) -> Decision<KafkaErrorCode, GroupDirective> {
        guard let group = groups[groupID] else { return Decision(.groupIDNotFound) }
        guard group.isEmpty else { return Decision(.nonEmptyGroup) }
        var directives: [GroupDirective] = []
        offsets.remove(groupID, where: { _ in true }, directives: &directives)
        groups[groupID] = nil
        directives.append(.removeGroup(groupID: groupID))
        return Decision(.none, directives)
    }

    /// Removes the offsets of a deleted topic.
    mutating func forget(topic: String) -> [GroupDirective] {
        var directives: [GroupDirective] = []
        for groupID in offsets.groupIDs {
            offsets.remove(groupID, where: { $0.topic == topic }, directives: &directives)
        }
        return directives
    }

    // MARK: - Time

    /// Evicts members whose session ended, completes or fails rebalances whose time is up, drops expired offsets.
    mutating func expire(now: Timestamp) -> [GroupDirective] {
        guard let nextDeadline, now >= nextDeadline else { return [] }
        self.nextDeadline = nil
        var directives: [GroupDirective] = []
        for groupID in groups.keys.sorted() {
            guard let deadline = groups[groupID]?.nextDeadline else { continue }
            if deadline <= now { groups[groupID]?.expire(now: now, directives: &directives) }
            if let group = groups[groupID] { noteDeadline(of: group) }
        }
        if now >= nextRetentionCheck {
            expireOffsets(now: now, directives: &directives)
            nextRetentionCheck = now.advanced(by: configuration.retentionCheckInterval)
        }
        noteDeadline(nextRetentionCheck)
        return directives
    }

    private mutating func expireOffsets(now: Timestamp, directives: inout [GroupDirective]) {
        let horizon = now.advanced(by: .zero - configuration.offsetRetention)
        for groupID in groups.keys.sorted() {
            guard let group = groups[groupID], let emptySince = group.emptySince else { continue }
            // A group that never had members keeps each offset for itself; else the time without members counts.
            let since = group.protocolType == nil ? nil : emptySince
            let held = offsets.committed[groupID] ?? [:]
            let expired = held.filter { partition, offset in
                max(offset.commitTime, since ?? offset.commitTime) <= horizon
                    && !offsets.hasPending(groupID, partition)
            }
            if !expired.isEmpty {
                offsets.remove(groupID, where: { expired[$0] != nil }, directives: &directives)
            }
            if offsets.isEmpty(groupID), group.promisedIDs.isEmpty {
                groups[groupID] = nil
                directives.append(.removeGroup(groupID: groupID))
            }
        }
    }

    // MARK: - Helpers

    private func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= configuration.maximumNameBytes
    }

    /// - Returns: why a member with so much to say is refused, if it is.
    private func excess(in request: JoinRequest) -> KafkaErrorCode? {
        let names =
            [request.clientID, request.protocolType, request.instanceID ?? ""] + request.protocols.map(\.name)
        guard request.protocols.count <= configuration.maximumProtocols,
            names.allSatisfy({ $0.utf8.count <= configuration.maximumNameBytes })
        else { return .invalidRequest }
        return request.subscriptionBytes > configuration.maximumSubscriptionBytes ? .policyViolation : nil
    }

    private mutating func addGroup(_ groupID: String, now: Timestamp) {
        groups[groupID] = ConsumerGroup(groupID: groupID, configuration: configuration, now: now)
    }

    private mutating func change(
        _ groupID: String, _ body: (inout ConsumerGroup, inout [GroupDirective]) -> Void
    ) -> [GroupDirective] {
        var directives: [GroupDirective] = []
        guard let index = groups.index(forKey: groupID) else { return directives }
        body(&groups.values[index], &directives)
        noteDeadline(of: groups.values[index])
        return directives
    }

    /// - Returns: why offsets cannot be committed under this membership, if they cannot.
    private mutating func admit(
        _ groupID: String, _ membership: GroupMembership, isTransactional: Bool, now: Timestamp
    ) -> KafkaErrorCode? {
        if groups[groupID] == nil {
            guard membership.generation < 0 else { return .illegalGeneration }
            // A simple consumer may do without a name.
            guard groupID.isEmpty || isName(groupID) else { return .invalidGroupID }
            guard groups.count < configuration.maximumGroups else { return .policyViolation }
            addGroup(groupID, now: now)
        }
        let error = groups[groupID]?.admitCommit(membership, isTransactional: isTransactional, now: now)
        return error == .some(.none) ? nil : error
    }

    private func isShort(_ metadata: String) -> Bool { metadata.utf8.count <= configuration.maximumMetadataBytes }

    private mutating func noteDeadline(of group: ConsumerGroup) {
        if let deadline = group.nextDeadline { noteDeadline(deadline) }
    }

    private mutating func noteDeadline(_ deadline: Timestamp) {
        nextDeadline = min(nextDeadline ?? deadline, deadline)
    }
}
