// Accusations, confirmations and verdicts.

extension Membership {
    /// How many silos, this node included, could accuse a member.
    static func accuserCount(of subject: NodeID, own: NodeID, table: MemberTable) -> Int {
        let isSilo = table[subject]?.record.description?.role == .silo
        return max(1, table.liveSiloCount - (isSilo ? 1 : 0))
    }

    /// This node has itself failed to reach a member.
    mutating func accuse(_ subject: NodeID, generation: UInt64, isRefusal: Bool) {
        guard phase == .member, let entry = table[subject], entry.record.status.isLive,
            entry.record.generation == generation
        else { return }
        observe(.accused(subject, refused: isRefusal))
        var record = entry.record
        if record.status == .alive {
            record.status = .suspect
            store(record, replacing: entry)
        }
        let isSilo = own.description?.role == .silo
        let accusations = isSilo ? [Accusation(accuser: id, isRefusal: isRefusal)] : []
        suspect(record, accusations: accusations, source: .own)
        suspicions[subject]?.isOwn = true
    }

    /// The record in the table is a suspicion now, or was one already: counts who vouches for it.
    mutating func suspect(_ record: MemberRecord, accusations: [Accusation], source: Source) {
        var suspicion = suspicions[record.id] ?? Suspicion(record: record, at: now)
        var isNew = suspicions[record.id] == nil
        if suspicion.incarnation != record.incarnation || suspicion.generation != record.generation {
            suspicion = Suspicion(record: record, at: now)
            isNew = true
        }
        var tellsMore = isNew
        for accusation in accusations where suspicion.add(accusation, limit: settings.accusersForShortest) {
            tellsMore = true
        }
        guard tellsMore else { return }
        suspicion.updateDeadline(
            now: now, siloCount: table.liveSiloCount,
            accusers: Self.accuserCount(of: record.id, own: id, table: table), health: health.multiplier,
            settings: settings)
        suspicions[record.id] = suspicion
        updateNextSuspicion()
        pass(News(record: record, accusations: suspicion.accusations), source: source)
        // A neighbour that others suspect is probed at once, out of turn: to confirm, or to let it refute.
        if isNew, expander.contains(record.id) {
            if case .own = source { return }
            probe(record.id)
        }
    }

    /// Equal precedence: the same suspicion, perhaps with other accusers.
    mutating func confirm(_ news: News, source: Source) -> Bool {
        guard let record = table[news.record.id]?.record else { return false }
        let before = suspicions[record.id]?.accusations.count ?? 0
        suspect(record, accusations: news.accusations, source: source)
        if case .gossip(let sender) = source { dissemination.heard(news, from: sender) }
        return (suspicions[record.id]?.accusations.count ?? 0) > before
    }

    /// Whether enough silos have accused a member, so that one more makes no difference.
    func isSettled(_ subject: NodeID) -> Bool {
        guard let suspicion = suspicions[subject] else { return false }
        return suspicion.accusations.count >= settings.accusersForShortest
    }

    mutating func updateNextSuspicion() {
        nextSuspicionAt = suspicions.values.reduce(.distantFuture) { min($0, $1.deadline) }
    }

    mutating func handleSuspicionTimers() {
        let due = suspicions.filter { $0.value.deadline <= now }.keys.sorted()
        for subject in due { decide(subject) }
        updateNextSuspicion()
    }

    private mutating func decide(_ subject: NodeID) {
        guard let suspicion = suspicions[subject], let entry = table[subject] else {
            suspicions[subject] = nil
            return
        }
        let patience = settings.probeTimeout.scaled(by: 2)
        if heard(subject, since: max(now - patience, suspicion.startedAt)) {
            // It talks to this node: it will refute as soon as it hears of the suspicion, so tell it.
            suspicions[subject]!.extend(by: patience)
            return probe(subject)
        }
        if suspicion.accusations.isEmpty, !suspicion.isOwn {
            // All that is known is that somebody once suspected it: synchronisation says no more. The ping tells it so.
            suspicions[subject]!.extend(by: patience)
            return probe(subject)
        }
        if lastHeardAnybody < now - patience, isDeafNow() {
            suspicions[subject]!.extend(by: patience)
            return
        }
        let isWitnessed = suspicion.isWitnessed
        var record = entry.record
        record.status = .dead
        observe(.declaredDead(subject, witnessed: isWitnessed))
        store(record, replacing: entry, isUnwitnessed: !isWitnessed)
        if isWitnessed {
            pass(News(record: record), source: .own)
        } else {
            dissemination.remove(subject)
        }
    }

    private func isDeafNow() -> Bool {
        table.liveCount > 2 && now - (deafSince ?? lastHeardAnybody) < settings.deafPatience
    }
}

extension Moment {
    static func - (moment: Moment, duration: Duration) -> Moment {
        Moment(microseconds: moment.microseconds &- duration.microseconds)
    }
}
