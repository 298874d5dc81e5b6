import SeededRandom

/// The ended members that are still remembered: which to try to reach again, and when to forget them.
struct Graveyard: Sendable {
    /// Those declared dead, not those that have left; in an order that follows from the events.
    private(set) var dead: [NodeID] = []
    private var expiries: [(at: Moment, id: NodeID)] = []
    private var firstExpiry = 0
    var nextRetryAt: Moment = .distantFuture

    mutating func add(_ id: NodeID, isDead: Bool, expiry: Moment) {
        dead.removeAll { $0 == id }
        if isDead { dead.append(id) }
        expiries.append((expiry, id))
    }

    mutating func remove(_ id: NodeID) { dead.removeAll { $0 == id } }

    var nextExpiry: Moment { firstExpiry < expiries.count ? expiries[firstExpiry].at : .distantFuture }

    /// - Returns: the next member whose expiry has come; it may have come back to life meanwhile.
    mutating func popExpired(now: Moment) -> NodeID? {
        guard firstExpiry < expiries.count, nextExpiry <= now else { return nil }
        defer {
            firstExpiry += 1
            if firstExpiry > 64, firstExpiry * 2 > expiries.count {
                expiries.removeFirst(firstExpiry)
                firstExpiry = 0
            }
        }
        return expiries[firstExpiry].id
    }
}

extension Membership {
    mutating func forgetExpired() {
        while let member = graveyard.popExpired(now: now) {
            guard let entry = table[member], !entry.record.status.isLive,
                now - entry.since >= settings.tombstoneLifetime
            else { continue }
            forget(member)
        }
    }

    /// Makes room for a live member when the table is full: nodes that come under ever new names must not keep it so.
    ///
    /// - Returns: whether there was anybody to forget.
    mutating func forgetOldestEnded() -> Bool {
        while let member = graveyard.popExpired(now: .distantFuture) {
            guard let entry = table[member], !entry.record.status.isLive else { continue }
            forget(member)
            return true
        }
        return false
    }

    private mutating func forget(_ member: NodeID) {
        table.remove(member)
        graveyard.remove(member)
        outbox.append(.changed(member, nil))
    }

    /// Tries one dead member, or one seed that is nobody's address: a partition that was taken for deaths heals only
    /// if somebody keeps asking.
    mutating func retryEnded() {
        let interval = settings.scaled(settings.deadRetryInterval, memberCount: table.count, unscaledTo: 64)
        graveyard.nextRetryAt = now + random.jittered(interval, by: 0.5)
        guard phase == .member else { return }
        let strangers = unknownSeeds()
        let choice = random.below(graveyard.dead.count + strangers.count)
        if choice < graveyard.dead.count {
            let member = graveyard.dead[choice]
            guard let address = table[member]?.record.description?.address else { return }
            dialMember(member, at: address)
        } else if !strangers.isEmpty {
            let seed = strangers[choice - graveyard.dead.count]
            outbox.append(.dial(.seed(seed), at: seed))
        }
    }

    /// Seeds at whose address no live member is known.
    func unknownSeeds() -> [NodeAddress] {
        guard !seeds.isEmpty else { return [] }
        var unknown = Set(seeds)
        unknown.remove(own.description!.address)
        table.forEachUnordered { entry in
            if entry.record.status.isLive, let address = entry.record.description?.address { unknown.remove(address) }
        }
        return seeds.filter { unknown.contains($0) }
    }
}
