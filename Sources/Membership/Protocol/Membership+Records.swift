// How a node takes in what it hears about members, itself included.

extension Membership {
    enum Source: Sendable {
        case gossip(NodeID), sync(NodeID), own

        var peer: NodeID? {
            switch self {
            case .gossip(let peer), .sync(let peer): peer
            case .own: nil
            }
        }
    }

    /// Takes in one record, if it tells more than is known.
    ///
    /// - Returns: whether anything has changed.
    @discardableResult
    mutating func merge(_ news: News, source: Source) -> Bool {
        let record = news.record
        if record.id == id { return hearAboutSelf(record) }
        guard let entry = table[record.id] else { return learn(news, source: source) }
        let known = entry.record
        if entry.isUnwitnessed, record.generation == known.generation {
            return hearAboutUnwitnessed(news, entry: entry, source: source)
        }
        if record.precedence == known.precedence {
            if record.status == .suspect { return confirm(news, source: source) }
            if case .gossip(let sender) = source { dissemination.heard(news, from: sender) }
            return false
        }
        guard record.precedence > known.precedence else { return false }
        var accepted = record
        if record.description == nil {
            // A suspicion of an incarnation whose description was never seen here: the subject's own record follows.
            if record.status == .suspect, record.incarnation != known.incarnation { return false }
            if record.status == .suspect, record.generation != known.generation { return false }
            accepted.description = known.description
        }
        if known.status == .suspect, accepted.status == .alive {
            leniency.noteRefutation(of: record.id, generation: record.generation, at: now, settings: settings)
        }
        store(accepted, replacing: entry)
        if accepted.status == .suspect {
            suspect(accepted, accusations: news.accusations, source: source)
        } else {
            suspicions[record.id] = nil
            updateNextSuspicion()
            pass(News(record: accepted), source: source)
        }
        return true
    }

    /// A member of which nothing was known.
    private mutating func learn(_ news: News, source: Source) -> Bool {
        let record = news.record
        if table.count >= settings.maximumMembers {
            guard record.status.isLive, forgetOldestEnded() else { return false }
        }
        guard record.status.isLive else {
            // News of an end may overtake that of the beginning. What synchronisation brings is not news: two nodes
            // would give each other the same tombstone for ever.
            if case .sync = source { return false }
            store(record, replacing: nil)
            pass(news, source: source)
            return true
        }
        guard record.description != nil else { return false }
        var alive = record
        alive.status = .alive
        store(alive, replacing: nil)
        if record.status == .suspect {
            store(record, replacing: table[record.id])
            suspect(record, accusations: news.accusations, source: source)
        } else {
            pass(News(record: alive), source: source)
        }
        return true
    }

    /// This node alone has declared the member dead.
    private mutating func hearAboutUnwitnessed(_ news: News, entry: MemberTable.Entry, source: Source) -> Bool {
        let record = news.record
        if !record.status.isLive {
            var entry = entry
            entry.isUnwitnessed = false
            table.set(entry)
            pass(News(record: entry.record), source: source)
            return true
        }
        if record.incarnation > entry.record.incarnation {
            forgetAndRejoin()
            return true
        }
        // Others do not share the verdict: ask the member itself, and tell them of the doubt. They may never have heard
        // of the accusation, and nobody else will tell them of a verdict that everybody keeps to itself.
        guard let address = entry.record.description?.address, dialMember(record.id, at: address) else { return false }
        if record.status == .alive, let sender = source.peer {
            var doubted = brief(entry.record)
            doubted.status = .suspect
            send(.gossip, to: sender, news: [News(record: doubted)])
        }
        return false
    }

    private mutating func hearAboutSelf(_ record: MemberRecord) -> Bool {
        guard phase != .idle, record.generation >= own.generation else { return false }
        switch phase {
        case .leaving, .left, .outcast: return false
        default: break
        }
        if record.generation > own.generation || !record.status.isLive {
            end(of: record.generation)
            return true
        }
        guard record.status == .suspect ? record.incarnation >= own.incarnation : record.incarnation > own.incarnation
        else { return false }
        health.worsen()
        let highest = max(own.incarnation, record.incarnation)
        guard highest < .max else {
            end(of: own.generation)
            return true
        }
        own.incarnation = highest + 1
        observe(.refuted(incarnation: own.incarnation))
        announceSelf()
        return true
    }

    /// Writes the node's own record to the table and passes it on.
    mutating func announceSelf() {
        store(own, replacing: table[id])
        pass(News(record: own), source: .own)
    }

    mutating func pass(_ news: News, source: Source) {
        var news = news
        news.record = brief(news.record)
        switch source {
        case .gossip(let sender): dissemination.add(news, from: sender, limit: settings.maximumNews)
        case .own: dissemination.add(news, from: nil, limit: settings.maximumNews)
        // What many differ in spreads by synchronisation; what few differ in, by gossip.
        case .sync(let sender):
            guard phase == .member, synchronizer.changesByMessage < 32 else { return }
            dissemination.add(news, from: sender, limit: settings.maximumNews)
        }
        hastenGossip()
    }

    /// Puts a record into the table, and keeps what follows from it in step.
    mutating func store(_ record: MemberRecord, replacing previous: MemberTable.Entry?, isUnwitnessed: Bool = false) {
        let wasLive = previous?.record.status.isLive ?? false
        let sameStatus = previous.map {
            $0.record.status == record.status && $0.record.generation == record.generation
        }
        let since = sameStatus == true ? previous!.since : now
        table.set(.init(record: record, since: since, isUnwitnessed: isUnwitnessed))
        outbox.append(.changed(record.id, record))
        if record.status.isLive {
            if previous != nil, !wasLive { graveyard.remove(record.id) }
            if !wasLive, record.id != id { neighboursMayGain(record.id) }
        } else {
            if wasLive { publisher.noteDeath() }
            graveyard.add(record.id, isDead: record.status == .dead, expiry: now + settings.tombstoneLifetime)
            suspicions[record.id] = nil
            prober.finish(subject: record.id)
            lastHeard[record.id] = nil
            if wasLive { neighboursMayLose(record.id) }
        }
    }

    private mutating func neighboursMayGain(_ member: NodeID) {
        let rings = settings.ringCount(memberCount: table.liveCount)
        if expander.insert(member, table: table, ringCount: rings) { neighboursChanged() }
    }

    private mutating func neighboursMayLose(_ member: NodeID) {
        let rings = settings.ringCount(memberCount: table.liveCount)
        if expander.remove(member, table: table, ringCount: rings) { neighboursChanged() }
    }

    mutating func neighboursChanged() {
        dissemination.setLinks(expander.neighbours)
        outbox.append(.keepConnections(expander.neighbours))
        if lastHeard.count > 64 + 8 * expander.neighbours.count {
            let horizon = now + .seconds(-60)
            lastHeard = lastHeard.filter { $0.value > horizon }
        }
    }

    /// What others are told about a member: suspicions and ends go without its description.
    func brief(_ record: MemberRecord) -> MemberRecord {
        guard record.status != .alive else { return record }
        var brief = record
        brief.description = nil
        return brief
    }
}
