package import SeededRandom

/// The membership protocol of one node: SWIM with Lifeguard's extensions over connections, as a value without I/O.
///
/// A *shell* owns it, gives it events (`step`) and does what the effects say. It reads no clock and no random source,
/// so a run is a function of its events, and a simulation can replay it.
///
/// What it does:
///
/// - **Neighbours.** A node talks to its neighbours on the rings of an ``Expander`` only, so connections stay O(log N).
/// - **Probing.** Each neighbour in turn is pinged over its connection. After the timeout, helpers ping it over theirs
///   and a fresh dial runs. A broken connection is dialled again at once. ``Probe``
/// - **Suspicion.** Who fails is accused; the suspicion shrinks as other silos confirm it and is refuted by the
///   subject's higher incarnation. A closed port found by several peers ends it almost at once. ``Suspicion``
/// - **Doubt.** A node that fails to reach others waits longer (``LocalHealth``); one that hears nobody, or was paused,
///   accuses nobody; what was heard from the subject lately vetoes an accusation and a verdict.
/// - **Dissemination.** News rides on pings and goes to neighbours every 100 ms while there is any.
/// - **Synchronisation.** Every message carries a digest; where digests keep differing, the differing buckets are
///   exchanged. So whatever gossip has lost is repaired. ``Synchronizer``
/// - **Ends.** A generation that was declared dead or has left stays so. A live node that learns of its death takes
///   the next generation. The dead are remembered and tried again, so that partitions heal.
///
/// Sources: Das, Gupta, Motivala, "SWIM", 2002; Dadgar et al., "Lifeguard", 2018; Suresh et al., "Rapid", 2018. It
/// deviates from SWIM in ``Precedence`` (death is final for a generation) and in whom it probes.
package struct Membership: Sendable {
    /// Legal exits: `idle` → `joining` → `member` → `leaving` → `left`; `member` → `outcast` → `joining`;
    /// `member` → `joining` (its only verdict was wrong); every state but `left` → `leaving`.
    enum Phase: Sendable, Equatable {
        case idle
        case joining
        case member
        /// Declared dead too often: waits before it comes back.
        case outcast(until: Moment)
        case leaving(until: Moment)
        case left
    }

    package let id: NodeID
    package let settings: MembershipSettings
    let seeds: [NodeAddress]

    package internal(set) var table = MemberTable()
    package internal(set) var health: LocalHealth
    var own: MemberRecord
    var phase: Phase = .idle
    var expander: Expander
    var prober = Prober()
    var suspicions: [NodeID: Suspicion] = [:]
    var leniency = Leniency()
    var dissemination = Dissemination()
    var synchronizer = Synchronizer()
    var joiner = Joiner()
    var publisher = ViewPublisher()
    var graveyard = Graveyard()

    /// When each peer was last heard; kept for peers of late only.
    var lastHeard: [NodeID: Moment] = [:]
    var lastHeardAnybody: Moment = .distantPast
    var deafSince: Moment?
    var redialing: Set<NodeID> = []
    var nextGossipAt: Moment = .distantFuture
    var lastGossipAt: Moment = .distantPast
    var nextSuspicionAt: Moment = .distantFuture
    var lastDescribedAt: Moment = .distantPast
    var evictions: [Moment] = []

    // The arguments of the step under way.
    var now: Moment = .zero
    var random = SeededGenerator(seed: 0)
    var outbox: [MembershipEffect] = []
    private var plannedWake: Moment = .distantFuture

    /// - Parameters:
    ///   - id: this node's name, unique in the cluster.
    ///   - generation: the process's start time in milliseconds since 1970.
    ///   - description: role, address as others reach it, weight, labels.
    ///   - seeds: addresses to join through. Its own address among them makes this node one that may be the first; so
    ///     does an empty list.
    package init(
        id: NodeID, generation: UInt64, description: MemberDescription, seeds: [NodeAddress],
        settings: MembershipSettings = MembershipSettings()
    ) {
        self.id = id
        self.settings = settings
        self.seeds = seeds
        own = MemberRecord(
            id: id, generation: generation, incarnation: 0, status: .alive, description: description)
        health = LocalHealth(maximum: settings.maximumLocalHealth)
        expander = Expander(of: id)
    }

    /// Begins with a table that is known already, as a member of the cluster that it describes.
    package init(
        id: NodeID, member: MemberRecord, table: MemberTable, settings: MembershipSettings, seeds: [NodeAddress]
    ) {
        self.id = id
        self.settings = settings
        self.seeds = seeds
        own = member
        health = LocalHealth(maximum: settings.maximumLocalHealth)
        expander = Expander(of: id)
        self.table = table
        phase = .member
    }

    package var generation: UInt64 { own.generation }
    package var incarnation: UInt32 { own.incarnation }
    package var description: MemberDescription { own.description! }
    package var isJoined: Bool { phase == .member }
    package var neighbours: [NodeID] { expander.neighbours }
    package var suspicionCount: Int { suspicions.count }
    package var queuedNews: Int { dissemination.count }
    /// News that found the queue full and was left to synchronisation.
    package var droppedNews: Int { dissemination.droppedCount }
    package var peersOfLate: Int { lastHeard.count }

    /// The published view's silos, or those that will be published next. O(N log N): take it when told to.
    package var view: MembershipView {
        let silos = table.sorted.compactMap { entry -> MembershipView.Silo? in
            guard entry.record.status.isLive, let description = entry.record.description, description.role == .silo
            else { return nil }
            return MembershipView.Silo(
                id: entry.record.id, generation: entry.record.generation, weight: description.weight,
                address: description.address)
        }
        return MembershipView(version: publisher.version, digest: publisher.publishedDigest, silos: silos)
    }

    /// For people who look for a mistake: the state in one line.
    package var summary: String {
        "\(phase) generation \(own.generation).\(own.incarnation) digest \(table.digest) view \(publisher.publishedDigest) "
            + "live \(table.liveCount) suspicions \(suspicions.keys.sorted()) health \(health.score) "
            + "sync \(synchronizer.state)"
    }

    /// The digest of the published view.
    package var viewDigest: UInt64 { publisher.publishedDigest }

    /// Takes one event.
    ///
    /// - Parameters:
    ///   - event: what has happened.
    ///   - now: when it is handled; never before the last step's.
    ///   - random: the node's generator.
    ///   - effects: what to do is appended here, to be done in order.
    package mutating func step(
        _ event: MembershipEvent, now: Moment, random: inout SeededGenerator, effects: inout [MembershipEffect]
    ) {
        precondition(now >= self.now, "time went from \(self.now) back to \(now)")
        self.now = now
        swap(&self.random, &random)
        swap(&outbox, &effects)
        defer {
            swap(&self.random, &random)
            swap(&outbox, &effects)
        }
        forgivePause()
        handle(event)
        guard phase != .left else { return }
        handleTimers()
        publishIfDue()
        planWake()
    }

    private mutating func handle(_ event: MembershipEvent) {
        switch event {
        case .start: begin()
        case .wake: break
        case .received(let message, let sender): receive(message, from: sender)
        case .connected(let peer, let generation): noteAlive(peer, generation: generation)
        case .disconnected(let peer): connectionLost(peer)
        case .dialed(let target, let outcome): dialed(target, outcome)
        case .describe(let weight, let load, let labels): describe(weight: weight, load: load, labels: labels)
        case .leave: leave()
        }
    }

    /// A late wake-up means that this process did not run. What it waited for meanwhile may well have arrived and lies
    /// unread, so all patience is extended by the pause.
    private mutating func forgivePause() {
        guard plannedWake <= now else { return }
        let late = now - plannedWake
        plannedWake = .distantFuture
        guard late > settings.stallThreshold else { return }
        prober.extend(by: late)
        for key in suspicions.keys { suspicions[key]!.extend(by: late) }
        updateNextSuspicion()
        observe(.stalled(late))
    }

    private mutating func handleTimers() {
        if case .leaving(let until) = phase, until <= now { return finishLeaving() }
        if case .outcast(let until) = phase {
            if until <= now { comeBack() }
            return
        }
        guard phase != .idle else { return }
        if prober.nextDeadline <= now { handleProbeTimers() }
        if nextSuspicionAt <= now { handleSuspicionTimers() }
        if synchronizer.deadline <= now { abandonSync() }
        if synchronizer.nextAt <= now { startScheduledSync() }
        if joiner.nextAt <= now { dialSeeds() }
        if graveyard.nextRetryAt <= now { retryEnded() }
        if graveyard.nextExpiry <= now { forgetExpired() }
        if nextGossipAt <= now { gossip() }
    }

    private mutating func planWake() {
        var next = min(prober.nextDeadline, nextSuspicionAt)
        next = min(next, nextGossipAt)
        if phase == .member { next = min(next, publisher.due) }
        next = min(next, min(synchronizer.deadline, synchronizer.nextAt))
        next = min(next, min(joiner.nextAt, min(graveyard.nextRetryAt, graveyard.nextExpiry)))
        if case .outcast(let until) = phase { next = until }
        if case .leaving(let until) = phase { next = min(next, until) }
        // What is still due was put off by this very step: a moment's rest keeps a mistake from becoming a busy loop.
        if next <= now { next = now + .milliseconds(1) }
        guard next != plannedWake else { return }
        plannedWake = next
        outbox.append(.wake(at: next))
    }

    mutating func observe(_ observation: MembershipObservation) { outbox.append(.observed(observation)) }

    private mutating func publishIfDue() {
        guard phase == .member, publisher.isPending || table.viewDigest != publisher.publishedDigest else { return }
        let ripe = othersAreRipe
        if publisher.update(digest: table.viewDigest, now: now, settings: settings, othersAreRipe: ripe) {
            outbox.append(.publish(version: publisher.version))
        }
    }

    /// Whether more silos are about to be declared dead.
    private var othersAreRipe: Bool {
        suspicions.contains { subject, suspicion in
            table[subject]?.record.description?.role == .silo
                && suspicion.isRipe(
                    accusers: Self.accuserCount(of: subject, own: id, table: table), settings: settings)
        }
    }
}
