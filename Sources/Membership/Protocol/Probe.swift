import SeededRandom

/// One attempt to find out whether a neighbour lives.
///
/// Legal exits:
///
/// - `direct` (pinged over the connection) → done by an answer; → `indirect` after the probe timeout
/// - `indirect` (helpers ping it over their connections, and a fresh dial runs) → done by an answer, a helper's report
///   or an answered dial; after the probe timeout once more → `direct` again, as often as the subject's past demands
///   (``Leniency``), then failed
struct Probe: Sendable {
    enum Stage: Sendable { case direct, indirect }

    let sequence: UInt32
    let subject: NodeID
    let generation: UInt64
    /// When the first ping of it was sent.
    let sentAt: Moment
    /// How often it has begun again.
    var failures = 0
    var stage: Stage = .direct
    var deadline: Moment
    var helpersAsked = 0
    var helpersReported = 0
}

/// A ping that this node sends on behalf of another.
struct HelperTask: Sendable {
    let sequence: UInt32
    let subject: NodeID
    let requester: NodeID
    let requesterSequence: UInt32
    let deadline: Moment
}

/// The probes under way, and whose turn is next: every neighbour once before any of them again.
struct Prober: Sendable {
    var probes: [Probe] = []
    var tasks: [HelperTask] = []
    var nextProbeAt: Moment = .distantFuture
    private var lastSequence: UInt32 = 0
    private var turn: [NodeID] = []

    static let maximumTasks = 64

    mutating func nextSequence() -> UInt32 {
        lastSequence &+= 1
        return lastSequence
    }

    mutating func nextSubject(neighbours: [NodeID], random: inout SeededGenerator) -> NodeID? {
        while let id = turn.popLast() {
            if neighbours.contains(id) { return id }
        }
        turn = neighbours
        random.shuffle(&turn)
        return turn.popLast()
    }

    func isProbing(_ id: NodeID) -> Bool { probes.contains { $0.subject == id } }

    mutating func finish(sequence: UInt32) -> Probe? {
        guard let index = probes.firstIndex(where: { $0.sequence == sequence }) else { return nil }
        return probes.remove(at: index)
    }

    mutating func finish(subject: NodeID) { probes.removeAll { $0.subject == subject } }

    mutating func finishTask(sequence: UInt32) -> HelperTask? {
        guard let index = tasks.firstIndex(where: { $0.sequence == sequence }) else { return nil }
        return tasks.remove(at: index)
    }

    /// Forgives a pause of this process.
    mutating func extend(by time: Duration) {
        for index in probes.indices { probes[index].deadline = probes[index].deadline + time }
    }

    var nextDeadline: Moment {
        var next = nextProbeAt
        for probe in probes { next = min(next, probe.deadline) }
        for task in tasks { next = min(next, task.deadline) }
        return next
    }
}
