import SeededRandom

// Probing neighbours, helping others to probe, and connections that break.

extension Membership {
    mutating func handleProbeTimers() {
        for probe in prober.probes where probe.deadline <= now {
            switch probe.stage {
            case .direct: probeIndirectly(probe)
            case .indirect: finishFailing(probe)
            }
        }
        for task in prober.tasks where task.deadline <= now {
            _ = prober.finishTask(sequence: task.sequence)
            send(.pingReport(sequence: task.requesterSequence, answered: false), to: task.requester)
        }
        if prober.nextProbeAt <= now { probeNext() }
    }

    private mutating func probeNext() {
        let pause = settings.probePeriod.scaled(by: Double(health.multiplier) / Double(settings.probesPerPeriod))
        prober.nextProbeAt = now + random.jittered(pause)
        guard phase == .member else { return }
        if let subject = prober.nextSubject(neighbours: expander.neighbours, random: &random) { probe(subject) }
        // An accusation is this node's to follow up even when the accused is no neighbour any more.
        for subject in suspicions.filter({ $0.value.isOwn && !expander.contains($0.key) }).keys.sorted().prefix(4) {
            probe(subject)
        }
    }

    mutating func probe(_ subject: NodeID) {
        guard let entry = table[subject], entry.record.status.isLive, !prober.isProbing(subject) else { return }
        begin(
            Probe(
                sequence: prober.nextSequence(), subject: subject, generation: entry.record.generation, sentAt: now,
                deadline: now + patience))
    }

    private mutating func begin(_ probe: Probe) {
        prober.probes.append(probe)
        send(.ping(sequence: probe.sequence), to: probe.subject)
    }

    /// How long this node waits for an answer, given how much it trusts itself.
    private var patience: Duration { settings.probeTimeout.scaled(by: Double(health.multiplier)) }

    private mutating func probeIndirectly(_ failed: Probe) {
        guard let index = prober.probes.firstIndex(where: { $0.sequence == failed.sequence }) else { return }
        guard !heard(failed.subject, since: failed.sentAt) else { return finishAnswered(failed.sequence) }
        if isSettled(failed.subject) {
            prober.probes.remove(at: index)
            return
        }
        var helpers = expander.neighbours.filter { helper in
            helper != failed.subject && suspicions[helper] == nil
        }
        random.shuffle(&helpers)
        helpers = Array(helpers.prefix(settings.helperCount))
        prober.probes[index].stage = .indirect
        prober.probes[index].deadline = now + patience
        prober.probes[index].helpersAsked = helpers.count
        for helper in helpers { send(.pingRequest(sequence: failed.sequence, subject: failed.subject), to: helper) }
        if let address = table[failed.subject]?.record.description?.address { dialMember(failed.subject, at: address) }
    }

    private mutating func finishFailing(_ failed: Probe) {
        guard prober.finish(sequence: failed.sequence) != nil else { return }
        guard !heard(failed.subject, since: failed.sentAt) else { return health.improve() }
        if isDeaf(since: failed.sentAt) {
            health.worsen()
            return observe(.deaf)
        }
        observe(.probeFailed(failed.subject))
        // Helpers that answer prove that this node hears; the rest may be this node's fault.
        if failed.helpersReported < failed.helpersAsked || failed.helpersAsked == 0, suspicions[failed.subject] == nil {
            health.worsen()
        }
        guard failed.failures >= furtherProbes(of: failed) else { return probeAgain(failed) }
        accuse(failed.subject, generation: failed.generation, isRefusal: false)
    }

    private func furtherProbes(of failed: Probe) -> Int {
        leniency.furtherProbes(of: failed.subject, generation: failed.generation, at: now, settings: settings)
    }

    /// At once: the pause until the subject's next turn would be lost time if it is dead.
    private mutating func probeAgain(_ failed: Probe) {
        begin(
            Probe(
                sequence: prober.nextSequence(), subject: failed.subject, generation: failed.generation,
                sentAt: failed.sentAt, failures: failed.failures + 1, deadline: now + patience))
    }

    /// Whether nothing at all was heard since a moment: then the fault is likely here. With no more than one other
    /// member there is nobody else to hear, and patience ends anyway.
    private mutating func isDeaf(since moment: Moment) -> Bool {
        guard lastHeardAnybody < moment, table.liveCount > 2 else {
            deafSince = nil
            return false
        }
        let since = deafSince ?? lastHeardAnybody
        deafSince = since
        return now - since < settings.deafPatience
    }

    func heard(_ peer: NodeID, since moment: Moment) -> Bool {
        guard let last = lastHeard[peer] else { return false }
        return last >= moment
    }

    mutating func finishAnswered(_ sequence: UInt32) {
        if prober.finish(sequence: sequence) != nil { health.improve() }
    }

    mutating func answerPing(_ sequence: UInt32, from sender: NodeID) {
        send(.ack(sequence: sequence), to: sender)
    }

    mutating func takeAck(_ sequence: UInt32, from sender: NodeID) {
        if let task = prober.tasks.first(where: { $0.sequence == sequence }), task.subject == sender {
            _ = prober.finishTask(sequence: sequence)
            send(.pingReport(sequence: task.requesterSequence, answered: true), to: task.requester)
        } else if prober.probes.contains(where: { $0.sequence == sequence && $0.subject == sender }) {
            finishAnswered(sequence)
        }
    }

    mutating func help(_ requester: NodeID, sequence: UInt32, subject: NodeID) {
        guard subject != id, prober.tasks.count < Prober.maximumTasks, let entry = table[subject],
            entry.record.status.isLive
        else { return }
        let task = HelperTask(
            sequence: prober.nextSequence(), subject: subject, requester: requester, requesterSequence: sequence,
            deadline: now + settings.probeTimeout.scaled(by: 0.8))
        prober.tasks.append(task)
        send(.ping(sequence: task.sequence), to: subject)
    }

    mutating func takeReport(sequence: UInt32, answered: Bool) {
        if answered { return finishAnswered(sequence) }
        guard let index = prober.probes.firstIndex(where: { $0.sequence == sequence }) else { return }
        prober.probes[index].helpersReported += 1
    }

    // MARK: - Connections

    /// A broken connection proves nothing; a fresh dial tells more, and at once.
    mutating func connectionLost(_ peer: NodeID) {
        guard phase == .member, let entry = table[peer], entry.record.status.isLive,
            let address = entry.record.description?.address,
            expander.contains(peer) || suspicions[peer] != nil || prober.isProbing(peer)
        else { return }
        dialMember(peer, at: address)
    }

    /// - Returns: whether a dial begins; none does while another to the same member is under way.
    @discardableResult
    mutating func dialMember(_ peer: NodeID, at address: NodeAddress) -> Bool {
        guard redialing.insert(peer).inserted else { return false }
        outbox.append(.dial(.member(peer), at: address))
        return true
    }

    mutating func dialed(_ target: DialTarget, _ outcome: DialOutcome) {
        switch target {
        case .member(let peer): memberDialed(peer, outcome)
        case .seed(let address): seedDialed(address, outcome)
        }
    }

    private mutating func memberDialed(_ peer: NodeID, _ outcome: DialOutcome) {
        redialing.remove(peer)
        guard phase == .member else { return }
        let entry = table[peer]
        switch outcome {
        case .answered(let answering, let generation):
            guard answering == peer else { return }
            noteAlive(peer, generation: generation)
            // Somebody that was taken for dead answers: find out what the other side knows.
            if entry?.record.status.isLive != true { startSync(with: peer) }
        case .refused:
            guard let record = entry?.record, record.status.isLive else { return }
            accuse(peer, generation: record.generation, isRefusal: true)
        case .timedOut, .rejected:
            // Its own neighbours find out whether it lives; many others that merely helped them would only add noise.
            guard expander.contains(peer) || suspicions[peer]?.isOwn == true else { return }
            probe(peer)
        }
    }

    /// The peer has shown that its process runs under this generation.
    mutating func noteAlive(_ peer: NodeID, generation: UInt64) {
        lastHeardAnybody = now
        deafSince = nil
        if let known = table[peer]?.record, generation < known.generation { return }
        lastHeard[peer] = now
    }
}
