import SeededRandom

// Push-pull: finding out by digests where two tables differ, and exchanging those buckets.

extension Membership {
    /// Digests that keep differing mean that something was lost, or that more is new than gossip carries.
    mutating func compareDigest(_ digest: UInt64, of sender: NodeID) {
        guard phase == .member else { return }
        guard digest != table.digest else {
            synchronizer.mismatches = 0
            return
        }
        synchronizer.mismatches += 1
        guard synchronizer.mismatches >= 4, case .idle = synchronizer.state,
            now - synchronizer.lastStartedAt >= settings.repairInterval
        else { return }
        synchronizer.mismatches = 0
        startSync(with: sender)
    }

    mutating func startScheduledSync() {
        let interval = settings.scaled(settings.syncInterval, memberCount: table.liveCount, unscaledTo: 32)
        synchronizer.nextAt = now + random.jittered(interval)
        guard phase == .member, !expander.neighbours.isEmpty else { return }
        startSync(with: expander.neighbours[random.below(expander.neighbours.count)])
    }

    mutating func startSync(with partner: NodeID) {
        guard case .idle = synchronizer.state else { return }
        synchronizer.lastStartedAt = now
        synchronizer.state = .offered(partner, deadline: now + settings.syncTimeout)
        send(.syncOffer(count: UInt32(table.count)), to: partner, news: [News(record: own)])
    }

    mutating func abandonSync() {
        synchronizer.state = .idle
        if phase == .joining { joiner.nextAt = min(joiner.nextAt, now) }
    }

    mutating func answerOffer(digest: UInt64, from sender: NodeID) {
        let digests = digest == table.digest ? [] : table.bucketDigests
        send(.syncDigests(count: UInt32(table.count), digests: digests), to: sender)
    }

    mutating func takeDigests(_ theirs: [UInt32], count: Int, from sender: NodeID) {
        guard case .offered(let partner, _) = synchronizer.state, partner == sender else { return }
        guard !theirs.isEmpty else { return finishSync(with: sender) }
        let own = table.bucketDigests
        var differing = own.indices.filter { own[$0] != theirs[$0] }.map { UInt8($0) }
        random.shuffle(&differing)
        synchronizer.changes = 0
        synchronizer.state = .exchanging(
            sender, buckets: differing, theirCount: count, deadline: now + settings.syncTimeout)
        exchangeNext()
    }

    /// Sends the next buckets: as many as make one chunk, going by this node's records and the partner's count.
    private mutating func exchangeNext() {
        guard case .exchanging(let partner, var buckets, let theirCount, _) = synchronizer.state else { return }
        synchronizer.splitBucket = nil
        guard !buckets.isEmpty else { return finishSync(with: partner) }
        let expected = 60 * (theirCount / MemberTable.bucketCount + 1)
        var chunk: [UInt8] = []
        var records: [MemberRecord] = []
        var bytes = 0
        while let bucket = buckets.last, chunk.isEmpty || bytes + expected < settings.syncChunkBytes {
            buckets.removeLast()
            chunk.append(bucket)
            let held = table.records(inBucket: Int(bucket))
            let fitting = fitting(held)
            if fitting.count < held.count { synchronizer.splitBucket = bucket }
            bytes += max(expected, fitting.reduce(0) { $0 + MessageCodec.size(of: $1) })
            records += fitting
        }
        synchronizer.state = .exchanging(
            partner, buckets: buckets, theirCount: theirCount, deadline: now + settings.syncTimeout)
        send(.syncExchange(buckets: chunk, records: records), to: partner)
    }

    mutating func answerExchange(_ buckets: [UInt8], _ records: [MemberRecord], from sender: NodeID) {
        var theirs: [NodeID: Precedence] = [:]
        for record in records { theirs[record.id] = record.precedence }
        var better: [MemberRecord] = []
        var bytes = 0
        // The partner chooses the buckets; that must not choose the size. What is left out is repaired another time.
        for bucket in Set(buckets).sorted() where bytes < settings.syncMessageBytes {
            for record in table.records(inBucket: Int(bucket)) {
                if let known = theirs[record.id], known >= record.precedence { continue }
                // The end of a member that the partner does not know is of no use to it.
                if theirs[record.id] == nil, !record.status.isLive { continue }
                better.append(record)
                bytes += MessageCodec.size(of: record)
            }
        }
        merge(records, from: sender)
        send(.syncReply(buckets: buckets, records: fitting(better)), to: sender)
    }

    /// As many of the records as one message may hold. Nearly always that is all; if not, it is each time others, so
    /// that all get their turn.
    private mutating func fitting(_ records: [MemberRecord]) -> [MemberRecord] {
        var room = settings.syncMessageBytes
        guard records.reduce(0, { $0 + MessageCodec.size(of: $1) }) > room else { return records }
        var records = records
        random.shuffle(&records)
        return records.filter { record in
            let size = MessageCodec.size(of: record)
            guard size <= room else { return false }
            room -= size
            return true
        }
    }

    mutating func takeReply(_ buckets: [UInt8], _ records: [MemberRecord], from sender: NodeID) {
        guard case .exchanging(let partner, var rest, let theirCount, let deadline) = synchronizer.state,
            partner == sender
        else { return }
        merge(records, from: sender)
        if let bucket = synchronizer.splitBucket {
            // As long as it brings anything now and then, there may be more in it.
            synchronizer.fruitlessParts = synchronizer.changesByMessage > 0 ? 0 : synchronizer.fruitlessParts + 1
            if synchronizer.fruitlessParts < 8 { rest.append(bucket) } else { synchronizer.fruitlessParts = 0 }
            synchronizer.state = .exchanging(partner, buckets: rest, theirCount: theirCount, deadline: deadline)
        }
        exchangeNext()
    }

    private mutating func merge(_ records: [MemberRecord], from sender: NodeID) {
        for record in records where merge(News(record: record), source: .sync(sender)) {
            synchronizer.changes += 1
            synchronizer.changesByMessage += 1
        }
    }

    private mutating func finishSync(with partner: NodeID) {
        observe(.synchronised(with: partner, changes: synchronizer.changes))
        synchronizer.state = .idle
        synchronizer.mismatches = 0
        becomeMember()
    }
}
