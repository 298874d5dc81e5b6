import Foundation
import OrchestraCore

// JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups: decided by `GroupCoordinator`.

extension BrokerCore {
    func joinGroup(_ request: JoinGroupRequest, _ context: RequestContext) {
        let session = Duration.milliseconds(Int64(request.sessionTimeoutMilliseconds))
        let rebalance =
            context.version == 0 ? session : .milliseconds(Int64(request.rebalanceTimeoutMilliseconds))
        let token = makeToken()
        waitingGroupRequests[token] = context
        apply(
            groups.join(
                JoinRequest(
                    groupID: request.groupID, memberID: request.memberID, instanceID: request.instanceID,
                    clientID: context.clientID, clientHost: context.clientHost, protocolType: request.protocolType,
                    protocols: request.protocols.map { GroupProtocol(name: $0.name, metadata: $0.metadata) },
                    sessionTimeout: session, rebalanceTimeout: rebalance,
                    requiresKnownMemberID: context.version >= 4,
                    supportsSkippingAssignment: context.version >= 9),
                token: token, uniqueSuffix: UUID().uuidString.lowercased(), now: now))
    }

    func sendJoin(_ answer: JoinAnswer, _ context: RequestContext) {
        context.respond(
            JoinGroupResponse(
                error: answer.error, generation: answer.generation, protocolType: answer.protocolType,
                // Null can be said only from version 7 on.
                protocolName: context.version < 7 ? answer.protocolName ?? "" : answer.protocolName,
                leaderID: answer.leaderID, skipAssignment: answer.skipAssignment, memberID: answer.memberID,
                members: answer.members.map {
                    JoinGroupMember(memberID: $0.memberID, instanceID: $0.instanceID, metadata: $0.metadata)
                }))
    }

    func syncGroup(_ request: SyncGroupRequest, _ context: RequestContext) {
        let token = makeToken()
        waitingGroupRequests[token] = context
        apply(
            groups.sync(
                SyncRequest(
                    groupID: request.groupID, generation: request.generation, memberID: request.memberID,
                    instanceID: request.instanceID, protocolType: request.protocolType,
                    protocolName: request.protocolName,
                    assignments: Dictionary(
                        request.assignments.map { ($0.memberID, $0.assignment) }, uniquingKeysWith: { $1 })),
                token: token, now: now))
    }

    func sendSync(_ answer: SyncAnswer, _ context: RequestContext) {
        context.respond(
            SyncGroupResponse(
                error: answer.error, protocolType: answer.protocolType, protocolName: answer.protocolName,
                assignment: answer.assignment))
    }

    func heartbeat(_ request: HeartbeatRequest, _ context: RequestContext) {
        let error = groups.heartbeat(
            groupID: request.groupID,
            membership: GroupMembership(
                generation: request.generation, memberID: request.memberID, instanceID: request.instanceID),
            now: now)
        scheduleExpiry()
        context.respond(HeartbeatResponse(error: error))
    }

    func leaveGroup(_ request: LeaveGroupRequest, _ context: RequestContext) {
        let leaving =
            context.version < 3
            ? [LeavingMember(memberID: request.memberID, instanceID: nil)]
            : request.members.map { LeavingMember(memberID: $0.memberID, instanceID: $0.instanceID) }
        let decision = groups.leave(groupID: request.groupID, members: leaving, now: now)
        apply(decision.directives)
        let response = LeaveGroupResponse(
            error: context.version < 3 ? decision.answer.first ?? .none : .none,
            members: zip(leaving, decision.answer).map { member, error in
                LeaveGroupMemberResult(memberID: member.memberID, instanceID: member.instanceID, error: error)
            })
        committer.whenDurable { context.respond(response) }
    }

    func describeGroups(_ request: DescribeGroupsRequest, _ context: RequestContext) {
        let response = DescribeGroupsResponse(
            groups: request.groupIDs.withoutRepetitions.map { groupID in
                let group = groups.describe(groupID: groupID)
                return DescribedGroup(
                    groupID: groupID, state: group.state, protocolType: group.protocolType,
                    protocolName: group.protocolName,
                    members: group.members.map {
                        DescribedGroupMember(
                            memberID: $0.memberID, instanceID: $0.instanceID, clientID: $0.clientID,
                            clientHost: $0.clientHost, metadata: $0.metadata, assignment: $0.assignment)
                    })
            })
        committer.whenDurable { context.respond(response) }
    }

    func listGroups(_ request: ListGroupsRequest, _ context: RequestContext) {
        let wanted = Set(request.states)
        let response = ListGroupsResponse(
            groups: groups.list().filter { wanted.isEmpty || wanted.contains($0.state) }.map {
                ListedGroup(groupID: $0.groupID, protocolType: $0.protocolType, state: $0.state)
            })
        committer.whenDurable { context.respond(response) }
    }

    func deleteGroups(_ request: DeleteGroupsRequest, _ context: RequestContext) {
        var response = DeleteGroupsResponse()
        for groupID in request.groupIDs {
            let decision = groups.delete(groupID: groupID, now: now)
            apply(decision.directives)
            response.results.append(DeleteGroupsResult(groupID: groupID, error: decision.answer))
        }
        committer.whenDurable { context.respond(response) }
    }
}
