/// A member that somebody cannot reach, and how long it still has to say that it lives.
///
/// The time shrinks from the longest to the shortest suspicion as more silos independently accuse the member, by
/// Lifeguard's formula: `longest − (longest − shortest) · log(c) / log(k)` for `c` of `k` accusers. A closed port
/// that several peers have found shortens it to ``MembershipSettings/refusedGrace``.
///
/// Only silos count as accusers. The word of a client, or of this node alone, starts the longest suspicion.
struct Suspicion: Sendable {
    let generation: UInt64
    let incarnation: UInt32
    let startedAt: Moment
    private(set) var accusations: [Accusation] = []
    /// Whether this node is itself among those that cannot reach the member.
    var isOwn = false
    private(set) var deadline: Moment = .distantFuture
    /// Pauses of this node and words of the subject that reached it in spite of the suspicion.
    private var extensionTime: Duration = .zero
    private var refusedSince: Moment?

    init(record: MemberRecord, at now: Moment) {
        generation = record.generation
        incarnation = record.incarnation
        startedAt = now
    }

    /// - Parameter limit: so many accusers settle the matter; more would only be traffic.
    /// - Returns: whether this tells more than was known: a new accuser, or a closed port instead of silence.
    mutating func add(_ accusation: Accusation, limit: Int) -> Bool {
        let alike = accusation.isRefusal ? accusations.count(where: \.isRefusal) : accusations.count
        if alike >= limit { return false }
        if let index = accusations.firstIndex(where: { $0.accuser == accusation.accuser }) {
            guard accusation.isRefusal, !accusations[index].isRefusal else { return false }
            accusations[index] = accusation
            return true
        }
        guard accusations.count < MessageCodec.maximumAccusations else { return false }
        accusations.append(accusation)
        return true
    }

    mutating func extend(by time: Duration) {
        extensionTime += time
        deadline = deadline + time
    }

    /// - Parameters:
    ///   - accusers: how many silos there are that could accuse the member, itself excluded.
    ///   - health: this node's own multiplier, applied only as long as nobody else confirms.
    mutating func updateDeadline(
        now: Moment, siloCount: Int, accusers: Int, health: Int, settings: MembershipSettings
    ) {
        let (shortest, longest) = settings.suspicionBounds(siloCount: siloCount)
        let wanted = min(settings.accusersForShortest, accusers)
        let count = accusations.count
        var patience = longest
        if wanted == 1 {
            // Nobody could confirm: this node's word must do, for what it is worth.
            patience = shortest.scaled(by: Double(health))
        } else if count >= wanted {
            patience = shortest
        } else if count > 1 {
            patience = longest - (longest - shortest).scaled(by: log2(Double(count)) / log2(Double(wanted)))
        } else if count == 1 {
            patience = longest.scaled(by: Double(health))
        }
        deadline = startedAt + patience + extensionTime
        let refusals = accusations.count(where: \.isRefusal)
        if refusals >= wanted, refusals > 1 {
            let since = refusedSince ?? now
            refusedSince = since
            deadline = min(deadline, since + settings.refusedGrace)
        }
    }

    /// Whether enough silos have accused the member to tell the whole cluster that it is dead.
    ///
    /// How many silos this node knows does not matter: one that sees little of the cluster takes it for small. In a
    /// cluster of two silos everybody therefore decides alone.
    var isWitnessed: Bool { accusations.count >= 2 }

    /// Whether the verdict is a matter of time only.
    func isRipe(accusers: Int, settings: MembershipSettings) -> Bool {
        accusations.count >= min(settings.accusersForShortest, accusers) || accusations.contains(where: \.isRefusal)
    }
}
