import Logging
import Membership

/// What the log says of the members, so that a person can follow: who came, who was suspected by whom, who died, left,
/// refuted and came back.
struct MembershipJournal {
    private struct Known {
        var record: MemberRecord
        /// Kept when the record that follows comes without.
        var description: MemberDescription?
    }

    private let own: NodeID
    private let logger: Logger
    private var known: [NodeID: Known] = [:]
    /// Those who vouch for the accusations in the message under way, or this node.
    private var accusers: [NodeID: [String]] = [:]
    private var sender: NodeID?
    private(set) var counts: [MemberStatus: Int] = [:]

    init(own: NodeID, logger: Logger) {
        self.own = own
        self.logger = logger
    }

    /// Called before the step that takes a message in.
    mutating func willReceive(_ message: Message, from sender: NodeID) {
        self.sender = sender
        accusers = [:]
        for news in message.news where news.record.status == .suspect {
            accusers[news.record.id] = news.accusations.map { name(of: $0) }
        }
    }

    /// Called after every step.
    mutating func didStep() {
        sender = nil
        accusers = [:]
    }

    /// Accusations carry a part of the accuser's key only.
    private func name(of accusation: Accusation) -> String {
        let name = known.keys.first { Accusation(accuser: $0, isRefusal: accusation.isRefusal) == accusation }?.name
        return (name ?? "somebody") + (accusation.isRefusal ? " (port closed)" : "")
    }

    mutating func changed(_ id: NodeID, _ record: MemberRecord?) {
        let before = known[id]
        if let before { counts[before.record.status, default: 0] -= 1 }
        guard let record else {
            known[id] = nil
            return logger.debug("member forgotten", metadata: ["member": "\(id)"])
        }
        counts[record.status, default: 0] += 1
        known[id] = Known(record: record, description: record.description ?? before?.description)
        guard id != own else { return }
        var metadata: Logger.Metadata = ["member": "\(id)"]
        guard let before else { return appeared(record, &metadata) }
        if record.generation != before.record.generation {
            newGeneration(record, before: before.record, &metadata)
        } else if record.status != before.record.status {
            statusChanged(record, before: before.record, &metadata)
        }
    }

    private func appeared(_ record: MemberRecord, _ metadata: inout Logger.Metadata) {
        guard let description = record.description, record.status.isLive else { return }
        metadata["role"] = "\(description.role)"
        metadata["address"] = "\(description.address)"
        logger.info("member joined", metadata: metadata)
    }

    private func newGeneration(_ record: MemberRecord, before: MemberRecord, _ metadata: inout Logger.Metadata) {
        metadata["generation"] = "\(record.generation)"
        guard record.status.isLive else { return ended(record, &metadata) }
        if let address = record.description?.address { metadata["address"] = "\(address)" }
        // A process starts under its start time; one that only comes back counts its generation up by one. A lower one
        // than was known is told by somebody who has not heard yet, after this node has forgotten what it believed.
        if record.generation < before.generation {
            logger.debug("an earlier generation of a member was heard of", metadata: metadata)
        } else if record.generation - before.generation < 16 {
            logger.notice("healed: a member that was given up is back", metadata: metadata)
        } else {
            logger.info(before.status.isLive ? "member restarted" : "member came back", metadata: metadata)
        }
    }

    private func statusChanged(_ record: MemberRecord, before: MemberRecord, _ metadata: inout Logger.Metadata) {
        switch record.status {
        case .suspect:
            metadata["by"] = "\(accusers[record.id]?.joined(separator: ", ") ?? "\(own)")"
            logger.notice("member suspected", metadata: metadata)
        case .alive:
            metadata["incarnation"] = "\(record.incarnation)"
            logger.info("member refuted the suspicion", metadata: metadata)
        case .dead, .left:
            ended(record, &metadata)
        }
    }

    private func ended(_ record: MemberRecord, _ metadata: inout Logger.Metadata) {
        if record.status == .left { return logger.info("member left", metadata: metadata) }
        metadata["says"] = "\(sender ?? own)"
        logger.warning("member is dead", metadata: metadata)
    }

    func observed(_ observation: MembershipObservation) {
        switch observation {
        case .probeFailed(let member):
            logger.debug("a probe failed", metadata: ["member": "\(member)"])
        case .deaf:
            logger.warning("this node hears from nobody: it accuses nobody either, for a while")
        case .accused(let member, let refused):
            logger.debug(
                "accusing", metadata: ["member": "\(member)", "reason": refused ? "its port is closed" : "no answer"])
        case .refuted(let incarnation):
            logger.notice(
                "this node was suspected and has refuted that", metadata: ["incarnation": "\(incarnation)"])
        case .declaredDead(let member, let witnessed):
            logger.debug("declared dead", metadata: ["member": "\(member)", "witnessed": "\(witnessed)"])
        case .stalled(let duration):
            logger.warning("this process was paused, or starved of processor time", metadata: ["for": "\(duration)"])
        case .synchronised(let partner, let changes):
            guard changes > 0 else { return }
            logger.debug("synchronised", metadata: ["with": "\(partner)", "changes": "\(changes)"])
        case .forgot:
            logger.warning("this node's belief about the others was wrong: it begins anew and joins again")
        }
    }
}
