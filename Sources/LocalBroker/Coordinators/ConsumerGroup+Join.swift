import OrchestraCore

/// The first half of a generation: members gather.
extension ConsumerGroup {
    mutating func join(
        _ request: JoinRequest, token: RequestToken, uniqueSuffix: String, now: Timestamp,
        directives: inout [GroupDirective]
    ) {
        func refuse(_ error: KafkaErrorCode) {
            directives.append(.answerJoin(token, JoinAnswer(error: error, memberID: request.memberID)))
        }
        guard supports(request.protocolType, request.protocols) else {
            return refuse(.inconsistentGroupProtocol)
        }
        guard hasRoom(for: request) else { return refuse(.groupMaximumSizeReached) }
        if request.memberID.isEmpty {
            let prefix = request.instanceID ?? request.clientID
            let memberID = "\(prefix)-\(uniqueSuffix)"
            if let instanceID = request.instanceID, let index = index(ofInstance: instanceID) {
                return replaceStatic(
                    index, by: memberID, request: request, token: token, now: now, directives: &directives)
            }
            guard members.count + promisedIDs.count < configuration.maximumMembers else {
                return refuse(.groupMaximumSizeReached)
            }
            if request.instanceID == nil, request.requiresKnownMemberID {
                promisedIDs[memberID] = now.advanced(by: request.sessionTimeout)
                directives.append(.answerJoin(token, JoinAnswer(error: .memberIDRequired, memberID: memberID)))
                return
            }
            return add(memberID, request: request, token: token, now: now, directives: &directives)
        }
        if request.instanceID == nil, promisedIDs.removeValue(forKey: request.memberID) != nil {
            return add(request.memberID, request: request, token: token, now: now, directives: &directives)
        }
        switch member(request.memberID, instanceID: request.instanceID) {
        case .failure(let error): refuse(error)
        case .success(let index): rejoin(index, request: request, token: token, now: now, directives: &directives)
        }
    }

    /// Whether all subscriptions together are small enough with this one in the place of the member's present one.
    private func hasRoom(for request: JoinRequest) -> Bool {
        let others = members.reduce(0) { sum, member in
            let isSame =
                request.instanceID.map { member.instanceID == $0 } ?? (member.memberID == request.memberID)
            return isSame ? sum : sum + member.protocols.subscriptionBytes
        }
        return others + request.subscriptionBytes <= configuration.maximumGroupBytes
    }

    private mutating func add(
        _ memberID: String, request: JoinRequest, token: RequestToken, now: Timestamp,
        directives: inout [GroupDirective]
    ) {
        if members.isEmpty {
            protocolType = request.protocolType
            leaderID = memberID
        }
        members.append(
            Member(
                memberID: memberID, instanceID: request.instanceID, clientID: request.clientID,
                clientHost: request.clientHost, sessionTimeout: request.sessionTimeout,
                rebalanceTimeout: request.rebalanceTimeout, protocols: request.protocols,
                sessionDeadline: now.advanced(by: request.sessionTimeout), heldJoin: token))
        if case .preparingRebalance(var gathering) = state {
            gathering.sawNewcomer = true
            state = .preparingRebalance(gathering)
        }
        rebalanceOrContinue(now: now, directives: &directives)
    }

    private mutating func rejoin(
        _ index: Int, request: JoinRequest, token: RequestToken, now: Timestamp, directives: inout [GroupDirective]
    ) {
        let isUnchanged = members[index].protocols == request.protocols
        switch state {
        case .empty:
            directives.append(.answerJoin(token, JoinAnswer(error: .unknownMemberID, memberID: request.memberID)))
        case .completingRebalance where isUnchanged,
            .stable where isUnchanged && members[index].memberID != leaderID:
            // It did not get the answer, or it only reconnected: the generation stands.
            touch(index, now: now)
            directives.append(.answerJoin(token, joinAnswer(for: members[index])))
        case .preparingRebalance, .completingRebalance, .stable:
            update(index, request: request, token: token, now: now, directives: &directives)
            rebalanceOrContinue(now: now, directives: &directives)
        }
    }

    private mutating func update(
        _ index: Int, request: JoinRequest, token: RequestToken, now: Timestamp, directives: inout [GroupDirective]
    ) {
        if let earlier = members[index].heldJoin {
            directives.append(
                .answerJoin(earlier, JoinAnswer(error: .rebalanceInProgress, memberID: members[index].memberID)))
        }
        members[index].heldJoin = token
        members[index].protocols = request.protocols
        members[index].sessionTimeout = request.sessionTimeout
        members[index].rebalanceTimeout = request.rebalanceTimeout
        members[index].clientID = request.clientID
        members[index].clientHost = request.clientHost
        touch(index, now: now)
    }

    /// A static member comes back under a new member id: the old one is fenced. In a stable group it goes on with the
    /// same assignment, without a rebalance.
    private mutating func replaceStatic(
        _ index: Int, by memberID: String, request: JoinRequest, token: RequestToken, now: Timestamp,
        directives: inout [GroupDirective]
    ) {
        let oldID = members[index].memberID
        if let held = members[index].heldJoin {
            members[index].heldJoin = nil
            directives.append(.answerJoin(held, JoinAnswer(error: .fencedInstanceID, memberID: oldID)))
        }
        if let held = members[index].heldSync {
            members[index].heldSync = nil
            directives.append(.answerSync(held, SyncAnswer(error: .fencedInstanceID)))
        }
        members[index].memberID = memberID
        let wasLeader = leaderID == oldID
        if wasLeader { leaderID = memberID }
        update(index, request: request, token: token, now: now, directives: &directives)
        guard case .stable = state, selectProtocol() == protocolName else {
            return rebalanceOrContinue(now: now, directives: &directives)
        }
        members[index].heldJoin = nil
        directives.append(.persistGroup(row))
        var answer = joinAnswer(for: members[index])
        if wasLeader, request.supportsSkippingAssignment {
            answer.skipAssignment = true
        } else if wasLeader {
            // Before v9 the only way to keep the new leader from assigning again is to name the old one.
            answer.leaderID = oldID
            answer.members = []
        }
        directives.append(.answerJoin(token, answer))
    }

    private func joinAnswer(for member: Member) -> JoinAnswer {
        var answer = JoinAnswer(
            error: .none, generation: generation, protocolType: protocolType, protocolName: protocolName,
            leaderID: leaderID ?? "", memberID: member.memberID)
        if member.memberID == leaderID {
            answer.members = members.map {
                JoinAnswer.Member(
                    memberID: $0.memberID, instanceID: $0.instanceID, metadata: $0.metadata(for: protocolName))
            }
        }
        return answer
    }

    // MARK: - Rebalance

    /// Starts a rebalance unless one is gathering members already, which then may be complete.
    mutating func rebalanceOrContinue(now: Timestamp, directives: inout [GroupDirective]) {
        switch state {
        case .preparingRebalance:
            break
        case .empty:
            let delay = min(configuration.initialRebalanceDelay, rebalanceTimeout)
            state = .preparingRebalance(
                Gathering(deadline: now.advanced(by: delay), remainingDelay: rebalanceTimeout - delay))
        case .completingRebalance, .stable:
            for index in members.indices {
                members[index].assignment = []
                members[index].owesSync = false
                guard let held = members[index].heldSync else { continue }
                members[index].heldSync = nil
                touch(index, now: now)
                directives.append(.answerSync(held, SyncAnswer(error: .rebalanceInProgress)))
            }
            state = .preparingRebalance(Gathering(deadline: now.advanced(by: rebalanceTimeout), remainingDelay: nil))
        }
        syncDeadline = nil
        gather(now: now, directives: &directives)
    }

    /// Makes the generation once all members are there or the time is up.
    mutating func gather(now: Timestamp, directives: inout [GroupDirective]) {
        guard case .preparingRebalance(var gathering) = state else { return }
        let isTimeUp = now >= gathering.deadline
        if let remaining = gathering.remainingDelay {
            guard isTimeUp else { return }
            if gathering.sawNewcomer, remaining > .zero {
                let delay = min(configuration.initialRebalanceDelay, remaining)
                gathering.sawNewcomer = false
                gathering.remainingDelay = remaining - delay
                gathering.deadline = now.advanced(by: delay)
                state = .preparingRebalance(gathering)
                guard delay <= .zero else { return }
            }
        } else {
            let isComplete = promisedIDs.isEmpty && members.allSatisfy { $0.heldJoin != nil }
            guard isComplete || isTimeUp else { return }
        }
        completeJoin(now: now, directives: &directives)
    }

    private mutating func completeJoin(now: Timestamp, directives: inout [GroupDirective]) {
        // Static members keep their place until their session ends.
        members.removeAll { $0.heldJoin == nil && $0.instanceID == nil }
        guard !members.isEmpty else {
            advanceGeneration()
            protocolName = nil
            leaderID = nil
            state = .empty(since: now)
            directives.append(.persistGroup(row))
            return
        }
        guard let firstJoined = members.first(where: { $0.heldJoin != nil }) else {
            // Only absent static members: nobody could lead. Wait for them or for the end of their sessions.
            state = .preparingRebalance(Gathering(deadline: now.advanced(by: rebalanceTimeout), remainingDelay: nil))
            return
        }
        advanceGeneration()
        if !members.contains(where: { $0.memberID == leaderID && $0.heldJoin != nil }) {
            leaderID = firstJoined.memberID
        }
        protocolName = selectProtocol()
        state = .completingRebalance
        syncDeadline = now.advanced(by: rebalanceTimeout)
        for index in members.indices {
            members[index].assignment = []
            members[index].owesSync = true
            guard let token = members[index].heldJoin else { continue }
            members[index].heldJoin = nil
            touch(index, now: now)
            directives.append(.answerJoin(token, joinAnswer(for: members[index])))
        }
    }

    private mutating func advanceGeneration() {
        generation = generation == .max ? 1 : generation + 1
    }
}
