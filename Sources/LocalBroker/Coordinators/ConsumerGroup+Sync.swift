import OrchestraCore

/// The second half of a generation: the assignment; and how members stay or go.
extension ConsumerGroup {
    mutating func sync(
        _ request: SyncRequest, token: RequestToken, now: Timestamp, directives: inout [GroupDirective]
    ) {
        let index: Int
        switch member(request.memberID, instanceID: request.instanceID) {
        case .failure(let error):
            directives.append(.answerSync(token, SyncAnswer(error: error)))
            return
        case .success(let found):
            index = found
        }
        if let error = syncError(request) {
            directives.append(.answerSync(token, SyncAnswer(error: error)))
            return
        }
        members[index].owesSync = false
        touch(index, now: now)
        if case .stable = state {
            directives.append(.answerSync(token, syncAnswer(for: members[index])))
        } else {
            if let earlier = members[index].heldSync {
                directives.append(.answerSync(earlier, SyncAnswer(error: .rebalanceInProgress)))
            }
            members[index].heldSync = token
            if request.memberID == leaderID {
                assign(request.assignments, now: now, directives: &directives)
            }
        }
        if members.allSatisfy({ !$0.owesSync }) { syncDeadline = nil }
    }

    private func syncError(_ request: SyncRequest) -> KafkaErrorCode? {
        guard request.generation == generation else { return .illegalGeneration }
        if let type = request.protocolType, type != protocolType { return .inconsistentGroupProtocol }
        if let name = request.protocolName, name != protocolName { return .inconsistentGroupProtocol }
        let assigned = request.assignments.reduce(0) { $0 + $1.value.count }
        guard assigned <= configuration.maximumGroupBytes else { return .policyViolation }
        return switch state {
        case .empty: .unknownMemberID
        case .preparingRebalance: .rebalanceInProgress
        case .completingRebalance, .stable: nil
        }
    }

    private mutating func assign(
        _ assignments: [String: [UInt8]], now: Timestamp, directives: inout [GroupDirective]
    ) {
        for index in members.indices {
            members[index].assignment = assignments[members[index].memberID] ?? []
        }
        state = .stable
        directives.append(.persistGroup(row))
        for index in members.indices {
            guard let held = members[index].heldSync else { continue }
            members[index].heldSync = nil
            touch(index, now: now)
            directives.append(.answerSync(held, syncAnswer(for: members[index])))
        }
    }

    private func syncAnswer(for member: Member) -> SyncAnswer {
        SyncAnswer(
            error: .none, protocolType: protocolType, protocolName: protocolName, assignment: member.assignment)
    }

    mutating func heartbeat(_ membership: GroupMembership, now: Timestamp) -> KafkaErrorCode {
        switch member(membership.memberID, instanceID: membership.instanceID) {
        case .failure(let error):
            return error
        case .success(let index):
            guard membership.generation == generation else { return .illegalGeneration }
            touch(index, now: now)
            if case .preparingRebalance = state { return .rebalanceInProgress }
            return .none
        }
    }

    /// May offsets be committed under this membership?
    mutating func admitCommit(
        _ membership: GroupMembership, isTransactional: Bool, now: Timestamp
    ) -> KafkaErrorCode {
        if membership.generation < 0, isEmpty { return .none }
        let isMember = membership.generation >= 0 || !membership.memberID.isEmpty || membership.instanceID != nil
        guard isMember else {
            return isTransactional ? .none : .illegalGeneration
        }
        switch member(membership.memberID, instanceID: membership.instanceID) {
        case .failure(let error):
            return error
        case .success(let index):
            guard membership.generation == generation else { return .illegalGeneration }
            if case .completingRebalance = state, !isTransactional { return .rebalanceInProgress }
            touch(index, now: now)
            return .none
        }
    }

    mutating func leave(
        _ leaving: LeavingMember, now: Timestamp, directives: inout [GroupDirective]
    ) -> KafkaErrorCode {
        if leaving.instanceID == nil, promisedIDs.removeValue(forKey: leaving.memberID) != nil {
            gather(now: now, directives: &directives)
            return .none
        }
        let found: Result<Int, KafkaErrorCode>
        if leaving.memberID.isEmpty, let instanceID = leaving.instanceID {
            found = index(ofInstance: instanceID).map { .success($0) } ?? .failure(.unknownMemberID)
        } else {
            found = member(leaving.memberID, instanceID: leaving.instanceID)
        }
        switch found {
        case .failure(let error):
            return error
        case .success(let index):
            remove(index, directives: &directives)
            rebalanceOrContinue(now: now, directives: &directives)
            return .none
        }
    }

    private mutating func remove(_ index: Int, directives: inout [GroupDirective]) {
        let member = members.remove(at: index)
        if let held = member.heldJoin {
            directives.append(
                .answerJoin(held, JoinAnswer(error: .unknownMemberID, memberID: member.memberID)))
        }
        if let held = member.heldSync {
            directives.append(.answerSync(held, SyncAnswer(error: .unknownMemberID)))
        }
        if leaderID == member.memberID {
            leaderID = (members.first { $0.heldJoin != nil } ?? members.first)?.memberID
        }
    }

    /// Evicts members whose session ended or who did not ask for their assignment in time; completes a gathering whose
    /// time is up.
    mutating func expire(now: Timestamp, directives: inout [GroupDirective]) {
        promisedIDs = promisedIDs.filter { $0.value > now }
        let isSyncOver = syncDeadline.map { $0 <= now } ?? false
        if isSyncOver { syncDeadline = nil }
        let gone = members.filter { member in
            (!member.isHeld && member.sessionDeadline <= now) || (isSyncOver && member.owesSync)
        }
        for member in gone {
            if let index = index(of: member.memberID) { remove(index, directives: &directives) }
        }
        if gone.isEmpty {
            gather(now: now, directives: &directives)
        } else {
            rebalanceOrContinue(now: now, directives: &directives)
        }
    }
}
