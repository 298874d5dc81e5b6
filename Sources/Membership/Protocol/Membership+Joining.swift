import SeededRandom

// Coming, coming back, changing and leaving.

/// How a node finds the cluster: it dials several contacts at once and synchronises with the first that answers.
struct Joiner: Sendable {
    var contacts: [NodeAddress] = []
    var dialling: Set<NodeAddress> = []
    var attempts = 0
    var nextAt: Moment = .distantFuture
}

extension Membership {
    mutating func begin() {
        guard phase == .idle || phase == .member else { return }
        if phase == .member { return startTimers() }
        join(through: [])
    }

    /// Becomes a joining node with a table of its own record only, or with what it knows already.
    mutating func join(through others: [NodeAddress]) {
        phase = .joining
        let address = own.description!.address
        joiner = Joiner()
        for contact in seeds + others where contact != address && !joiner.contacts.contains(contact) {
            joiner.contacts.append(contact)
        }
        store(own, replacing: table[id])
        dissemination.add(News(record: own), from: nil, limit: settings.maximumNews)
        guard !joiner.contacts.isEmpty else { return becomeMember() }
        dialSeeds()
    }

    mutating func dialSeeds() {
        guard phase == .joining else {
            joiner.nextAt = .distantFuture
            return
        }
        // A node that is itself a seed and finds no other may be the first of its cluster.
        if joiner.attempts >= 3, joiner.dialling.isEmpty, seeds.contains(own.description!.address) {
            return becomeMember()
        }
        let pause = settings.joinRetry.scaled(by: Double(1 << min(joiner.attempts, 6)))
        joiner.attempts += 1
        joiner.nextAt = now + random.jittered(min(pause, settings.joinRetryMaximum), by: 0.5)
        var contacts = joiner.contacts.filter { !joiner.dialling.contains($0) }
        random.shuffle(&contacts)
        for contact in contacts.prefix(3) {
            joiner.dialling.insert(contact)
            outbox.append(.dial(.seed(contact), at: contact))
        }
    }

    mutating func seedDialed(_ address: NodeAddress, _ outcome: DialOutcome) {
        joiner.dialling.remove(address)
        guard case .answered(let peer, let generation) = outcome, peer != id else { return }
        noteAlive(peer, generation: generation)
        startSync(with: peer)
    }

    mutating func becomeMember() {
        guard phase == .joining else { return }
        phase = .member
        joiner.nextAt = .distantFuture
        outbox.append(.joined)
        startTimers()
        hastenGossip()
    }

    private mutating func startTimers() {
        // Not yet having heard anybody is no sign of deafness, nor is it one of everybody's death.
        lastHeardAnybody = max(lastHeardAnybody, now)
        let rings = settings.ringCount(memberCount: table.liveCount)
        _ = expander.rebuild(table: table, ringCount: rings)
        neighboursChanged()
        let spread = { (interval: Duration, random: inout SeededGenerator) in interval.scaled(by: random.fraction()) }
        prober.nextProbeAt = now + spread(settings.probePeriod, &random)
        synchronizer.nextAt = now + settings.repairInterval + spread(settings.syncInterval, &random)
        graveyard.nextRetryAt = now + settings.deadRetryInterval.scaled(by: 0.5 + random.fraction())
    }

    /// This node's generation is over in somebody's memory: it was declared dead, or its clock has gone back. It takes
    /// the next one.
    mutating func end(of generation: UInt64) {
        own.generation = max(own.generation, generation)
        if phase == .member { return forgetAndRejoin() }
        own.generation += 1
        own.incarnation = 0
        outbox.append(.generationChanged(own.generation))
        announceSelf()
    }

    /// Goes on as a new generation with an empty memory, like a restarted process. What a node has believed while the
    /// others took it for dead, or while it alone took one of them for dead, is worth nothing; above all, its own
    /// verdicts must not spread.
    ///
    /// The first times that happens at once; if it happens again and again the node waits, so that a half-broken one
    /// does not make the cluster's view oscillate.
    mutating func forgetAndRejoin() {
        let contacts = contactAddresses()
        table = MemberTable()
        suspicions = [:]
        updateNextSuspicion()
        dissemination.removeAll()
        prober = Prober()
        graveyard = Graveyard()
        synchronizer = Synchronizer()
        lastHeard = [:]
        redialing = []
        _ = expander.rebuild(table: table, ringCount: 2)
        own.generation += 1
        own.incarnation = 0
        observe(.forgot)
        outbox.append(.generationChanged(own.generation))
        let horizon = now - .seconds(300)
        evictions.removeAll { $0 < horizon }
        evictions.append(now)
        joiner = Joiner()
        joiner.contacts = contacts
        guard evictions.count > 2 else { return join(through: contacts) }
        let wait = settings.rejoinBackoff.scaled(by: Double(1 << min(evictions.count - 3, 5)))
        phase = .outcast(until: now + min(wait, .seconds(120)))
    }

    /// Addresses of members that lived when last heard of, some of the neighbours first.
    private func contactAddresses() -> [NodeAddress] {
        let near = expander.neighbours.compactMap { table[$0] }
        let all = near + table.sorted
        var addresses: [NodeAddress] = []
        for entry in all where entry.record.id != id && addresses.count < 16 {
            if let address = entry.record.description?.address, !addresses.contains(address) {
                addresses.append(address)
            }
        }
        return addresses
    }

    mutating func comeBack() { join(through: joiner.contacts) }

    mutating func describe(weight: UInt16, load: UInt8, labels: [MemberDescription.Label]) {
        guard let old = own.description else { return }
        let fresh = MemberDescription(
            role: old.role, address: old.address, protocolVersions: old.protocolVersions, weight: weight, load: load,
            labels: labels)
        guard fresh != old else { return }
        let onlyLoad = fresh.weight == old.weight && fresh.labels == old.labels
        if onlyLoad, !isLoadNews(load, told: old.load) { return }
        lastDescribedAt = now
        own.description = fresh
        guard own.incarnation < .max else { return end(of: own.generation) }
        own.incarnation += 1
        if phase == .member || phase == .joining { announceSelf() }
    }

    /// Whether the others should hear of another load: every change of a description goes to everybody. Together all
    /// nodes tell so at most once in two seconds, however many they are.
    private func isLoadNews(_ load: UInt8, told: UInt8) -> Bool {
        let change = abs(Int(load) - Int(told))
        let pause = settings.describeInterval + Duration.seconds(2 * table.liveCount)
        let silence = now - lastDescribedAt
        if change >= settings.loadStep { return silence >= pause }
        return change >= settings.loadDrift && silence >= pause * 10
    }

    mutating func leave() {
        switch phase {
        case .leaving, .left: return
        case .idle, .joining, .outcast: return finishLeaving()
        case .member: break
        }
        own.status = .left
        announceSelf()
        for peer in expander.neighbours { send(.gossip, to: peer) }
        phase = .leaving(until: now + settings.gossipInterval.scaled(by: 3))
    }

    mutating func finishLeaving() {
        phase = .left
        outbox.append(.left)
    }
}
