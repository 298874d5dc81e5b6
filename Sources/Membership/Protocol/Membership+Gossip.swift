import SeededRandom

// Sending and receiving messages, and the news that rides on them.

extension Membership {
    mutating func send(_ body: Message.Body, to peer: NodeID, news: [News]? = nil) {
        var news = news ?? dissemination.take(for: peer, byteLimit: settings.piggybackBytes, sendLimit: sendLimit)
        // Whatever goes to a suspect tells it so, that it may refute; the queue may have given the news up already.
        if let suspicion = suspicions[peer], let record = table[peer]?.record, record.status == .suspect,
            !news.contains(where: { $0.record.id == peer })
        {
            news.append(News(record: brief(record), accusations: suspicion.accusations))
        }
        let message = Message(generation: own.generation, digest: table.digest, news: news, body: body)
        outbox.append(.send(message, to: peer, at: table[peer]?.record.description?.address))
    }

    private var sendLimit: Int { settings.sendLimit(memberCount: table.liveCount) }

    mutating func hastenGossip() {
        guard !dissemination.isEmpty, nextGossipAt == .distantFuture else { return }
        nextGossipAt = max(lastGossipAt + settings.gossipInterval, now + .milliseconds(5))
    }

    mutating func gossip() {
        nextGossipAt = .distantFuture
        guard !dissemination.isEmpty else { return }
        lastGossipAt = now
        var peers = expander.neighbours.filter { suspicions[$0] == nil && dissemination.hasNews(for: $0) }
        guard !peers.isEmpty else {
            // What is left is for suspects alone; synchronisation will repair what they lack.
            dissemination.removeAll()
            return
        }
        random.shuffle(&peers)
        for peer in peers.prefix(settings.gossipFanout) { send(.gossip, to: peer) }
        hastenGossip()
    }

    mutating func receive(_ message: Message, from sender: NodeID) {
        guard phase != .idle, phase != .left, sender != id else { return }
        if case .refused(let generation) = message.body { return takeRefusal(generation, from: sender) }
        if case .outcast = phase { return }
        guard accept(sender, generation: message.generation) else { return }
        noteAlive(sender, generation: message.generation)
        synchronizer.changesByMessage = 0
        for news in message.news { merge(news, source: .gossip(sender)) }
        guard phase != .left else { return }
        switch message.body {
        case .ping(let sequence):
            answerPing(sequence, from: sender)
            compareDigest(message.digest, of: sender)
        case .ack(let sequence):
            takeAck(sequence, from: sender)
            compareDigest(message.digest, of: sender)
        case .pingRequest(let sequence, let subject): help(sender, sequence: sequence, subject: subject)
        case .pingReport(let sequence, let answered): takeReport(sequence: sequence, answered: answered)
        case .gossip, .refused: break
        case .syncOffer: answerOffer(digest: message.digest, from: sender)
        case .syncDigests(let count, let digests): takeDigests(digests, count: Int(count), from: sender)
        case .syncExchange(let buckets, let records): answerExchange(buckets, records, from: sender)
        case .syncReply(let buckets, let records): takeReply(buckets, records, from: sender)
        }
    }

    /// Whether what the sender says counts: not if its generation is over. Then it is told so, and takes a new one.
    private mutating func accept(_ sender: NodeID, generation: UInt64) -> Bool {
        guard let entry = table[sender] else { return true }
        if generation > entry.record.generation { return true }
        if generation == entry.record.generation {
            if entry.record.status.isLive { return true }
            if entry.isUnwitnessed {
                forgetAndRejoin()
                return true
            }
            if entry.record.status == .left { return false }
        }
        send(.refused(generation: entry.record.generation), to: sender, news: [])
        return false
    }

    private mutating func takeRefusal(_ generation: UInt64, from sender: NodeID) {
        guard generation >= own.generation else { return }
        switch phase {
        case .joining, .member: break
        default: return
        }
        end(of: generation)
        if phase == .member || phase == .joining { startSync(with: sender) }
    }
}
