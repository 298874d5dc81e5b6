/// The news that this node passes on, one piece for each member, the least told first.
///
/// A piece goes once over each link, not back to where it came from, and at most 3·log2(N + 1) times in all. What a
/// neighbour tells us counts as told: it needs to hear it no more. Links are slots of the neighbours, so that who has
/// heard a piece fits into one word.
struct Dissemination: Sendable {
    private struct Piece: Sendable {
        var news: News
        var size: Int
        var sends = 0
        /// One bit for each link slot over which the piece has come or gone.
        var told: UInt64 = 0
    }

    /// Indexed by `positions`; order is that of arrival, disturbed by removals, and the same in every replay.
    private var pieces: [Piece] = []
    private var positions: [NodeID: Int] = [:]
    private var slots: [NodeID: Int] = [:]
    /// Pieces that were dropped because too many were waiting; synchronisation spreads them.
    private(set) var droppedCount = 0

    var isEmpty: Bool { pieces.isEmpty }
    var count: Int { pieces.count }

    /// Gives each neighbour a slot. Neighbours that stay keep theirs; what a new one has heard is unknown.
    mutating func setLinks(_ neighbours: [NodeID]) {
        var free = UInt64.max
        var kept: [NodeID: Int] = [:]
        for id in neighbours {
            guard let slot = slots[id] else { continue }
            kept[id] = slot
            free &= ~(1 << UInt64(slot))
        }
        var fresh: UInt64 = 0
        for id in neighbours where kept[id] == nil && free != 0 {
            let slot = free.trailingZeroBitCount
            kept[id] = slot
            free &= ~(1 << UInt64(slot))
            fresh |= 1 << UInt64(slot)
        }
        slots = kept
        for index in pieces.indices { pieces[index].told &= ~fresh }
    }

    /// Adds news, or replaces older news of the same member.
    mutating func add(_ news: News, from sender: NodeID?, limit: Int) {
        let told = mask(sender)
        let piece = Piece(news: news, size: MessageCodec.size(of: news), told: told)
        if let position = positions[news.record.id] {
            pieces[position] = piece
            return
        }
        if pieces.count >= limit {
            droppedCount += 1
            remove(at: 0)
        }
        positions[news.record.id] = pieces.count
        pieces.append(piece)
    }

    /// Notes that a peer knows a piece already.
    mutating func heard(_ news: News, from sender: NodeID) {
        guard let position = positions[news.record.id], pieces[position].news == news else { return }
        pieces[position].told |= mask(sender)
        pieces[position].sends += 1
    }

    mutating func remove(_ id: NodeID) {
        if let position = positions[id] { remove(at: position) }
    }

    mutating func removeAll() {
        pieces.removeAll()
        positions.removeAll()
    }

    private mutating func remove(at position: Int) {
        positions[pieces[position].news.record.id] = nil
        let last = pieces.removeLast()
        guard position < pieces.count else { return }
        pieces[position] = last
        positions[last.news.record.id] = position
    }

    private func mask(_ id: NodeID?) -> UInt64 {
        guard let id, let slot = slots[id] else { return 0 }
        return 1 << UInt64(slot)
    }

    func hasNews(for peer: NodeID) -> Bool {
        let mask = mask(peer)
        return pieces.contains { mask == 0 || $0.told & mask == 0 }
    }

    /// Takes news for a peer, the least told first, up to so many bytes, and counts it as told.
    ///
    /// - Parameters:
    ///   - sendLimit: how often a piece may be told in all.
    mutating func take(for peer: NodeID, byteLimit: Int, sendLimit: Int) -> [News] {
        guard !pieces.isEmpty else { return [] }
        let mask = mask(peer)
        let everyone = slots.values.reduce(UInt64(0)) { $0 | 1 << UInt64($1) }
        var taken: [News] = []
        var room = byteLimit
        var candidates = pieces.indices.filter { mask == 0 || pieces[$0].told & mask == 0 }
        if candidates.count * 40 > byteLimit {
            candidates.sort { (pieces[$0].sends, $0) < (pieces[$1].sends, $1) }
        }
        // One that is larger than all the room goes alone: it would wait for ever, and keep gossip busy.
        for index in candidates where pieces[index].size <= room || taken.isEmpty {
            taken.append(pieces[index].news)
            room -= pieces[index].size
            pieces[index].told |= mask
            pieces[index].sends += 1
        }
        var index = pieces.count - 1
        while index >= 0 {
            if pieces[index].sends >= sendLimit || pieces[index].told & everyone == everyone { remove(at: index) }
            index -= 1
        }
        return taken
    }
}
