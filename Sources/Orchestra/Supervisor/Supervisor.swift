/// Decides which child process runs when: in what order a cluster starts and stops, what happens when a child dies, how
/// long to wait before it is started again.
///
/// This is the *instance* of the pair: a value without clock, process or thread. Its shell (``ClusterProcess``) tells it
/// what happened and carries out the directives it returns. Time is what has passed since the supervisor began.
///
/// - Starting goes stage by stage: the next stage begins once every child of the one before has reported ready.
/// - A child that exits by itself with an error before the whole cluster was ready once ends the start: what it
///   complains about (a taken port, a bad directory) would not go away. A child *killed* by a signal is started again.
/// - From then on a dead child is started again for ever, after 0.2 s, 0.4 s, … at most 5 s; the delay begins anew once
///   the child has been ready for 10 s.
/// - Stopping goes stage by stage backwards, SIGTERM first, SIGKILL after the grace time.
struct Supervisor {
    /// How long to wait, and when to stop waiting.
    struct Timing: Sendable {
        var firstDelay: Duration = .milliseconds(200)
        var longestDelay: Duration = .seconds(5)
        /// Ready for this long, a child counts as healthy again.
        var healthyAfter: Duration = .seconds(10)
        /// How long a child may take to stop before it is killed.
        var stopGrace: Duration = .seconds(20)
        /// A second request that comes sooner is the first one told twice: `timeout` and some shells signal both a
        /// process and its group.
        var sameRequestWithin: Duration = .milliseconds(500)
        /// How often a child that does not get ready is mentioned.
        var slowStartNotice: Duration = .seconds(10)
    }

    enum Event: Sendable, Equatable {
        case begin
        case spawned(String, pid: Int32)
        case spawnFailed(String, reason: String)
        case ready(String)
        case exited(String, ProcessExit)
        /// The first request stops in order, the second kills.
        case stopRequested
        /// ``nextDeadline`` has come.
        case deadline
    }

    enum Directive: Sendable, Equatable {
        case spawn(String)
        case terminate(String)
        case kill(String)
        case notify(Notice)
        /// Nothing runs any more and nothing will be started.
        case finish(Outcome)
    }

    /// Something to tell the person who watches.
    enum Notice: Sendable, Equatable {
        case ready(String, after: Duration)
        /// Every child is ready for the first time.
        case clusterReady(after: Duration)
        case slowToStart(String, waiting: Duration)
        case died(String, ProcessExit, restartIn: Duration, restarts: Int)
        case recovered(String, after: Duration)
        case stopping(String)
        case stopped(String, ProcessExit)
        case killing(String, because: KillReason)
    }

    enum KillReason: Sendable, Equatable {
        case graceTimePassed, askedTwice
    }

    enum Outcome: Sendable, Equatable {
        case stopped
        /// The cluster never got ready because of this child.
        case startFailed(String, StartFailure)
    }

    enum StartFailure: Sendable, Equatable {
        case exited(ProcessExit)
        case notSpawned(String)
    }

    private var children: [Child]
    private var phase = Phase.idle
    private let timing: Timing

    /// - Parameter stages: the children's names in starting order; those of one stage start together.
    init(stages: [[String]], timing: Timing = Timing()) {
        children = stages.enumerated().flatMap { stage, names in names.map { Child(name: $0, stage: stage) } }
        precondition(Set(children.map(\.name)).count == children.count, "two children have the same name: \(stages)")
        self.timing = timing
    }

    /// When ``Event/deadline`` must be reported next; `nil`: there is nothing to wait for.
    var nextDeadline: Duration? { children.compactMap(\.deadline).min() }

    /// The children that run now, by name.
    var processIDs: [String: Int32] {
        var result: [String: Int32] = [:]
        for child in children { result[child.name] = child.pid }
        return result
    }

    /// - Returns: what the shell must do now, in this order.
    mutating func handle(_ event: Event, at now: Duration) -> [Directive] {
        switch event {
        case .begin:
            phase = .starting(since: now)
            return advance(at: now)
        case .spawned(let name, let pid):
            return spawned(name, pid: pid, at: now)
        case .spawnFailed(let name, let reason):
            return spawnFailed(name, reason: reason, at: now)
        case .ready(let name):
            return ready(name, at: now)
        case .exited(let name, let exit):
            return exited(name, exit, at: now)
        case .stopRequested:
            return stopRequested(at: now)
        case .deadline:
            return deadlinePassed(at: now)
        }
    }
}

// MARK: - State

extension Supervisor {
    /// Of the whole cluster.
    private enum Phase {
        /// → starting
        case idle
        /// → running, stopping
        case starting(since: Duration)
        /// → stopping
        case running
        /// → finished
        case stopping(Outcome, since: Duration)
        /// no exit
        case finished
    }

    fileprivate struct Child {
        let name: String
        let stage: Int
        var state = ChildState.waiting
        /// Deaths since it was last healthy.
        var deaths = 0
        var restarts = 0
    }

    fileprivate enum ChildState {
        /// Its stage has not come yet → spawning, ended
        case waiting
        /// The shell was told to spawn it → starting, delayed, ended
        case spawning
        /// → ready, delayed, stopping, ended
        case starting(pid: Int32, since: Duration, noticeAt: Duration)
        /// → delayed, stopping, ended
        case ready(pid: Int32, since: Duration)
        /// → spawning, ended
        case delayed(until: Duration)
        /// `killAt` is `nil` once it was killed → ended
        case stopping(pid: Int32, killAt: Duration?)
        /// no exit
        case ended
    }
}

extension Supervisor.Child {
    fileprivate var pid: Int32? {
        switch state {
        case .starting(let pid, _, _), .ready(let pid, _), .stopping(let pid, _): pid
        case .waiting, .spawning, .delayed, .ended: nil
        }
    }

    fileprivate var isReady: Bool {
        if case .ready = state { true } else { false }
    }

    fileprivate var hasEnded: Bool {
        if case .ended = state { true } else { false }
    }

    fileprivate var deadline: Duration? {
        switch state {
        case .starting(_, _, let noticeAt): noticeAt
        case .delayed(let until): until
        case .stopping(_, let killAt): killAt
        case .waiting, .spawning, .ready, .ended: nil
        }
    }
}

// MARK: - Starting and restarting

extension Supervisor {
    private func index(of name: String) -> Int {
        guard let index = children.firstIndex(where: { $0.name == name }) else {
            preconditionFailure("\(name) is no child: \(children.map(\.name))")
        }
        return index
    }

    /// Starts the first stage that is not ready, once the stages before it are.
    private mutating func advance(at now: Duration) -> [Directive] {
        guard case .starting(let since) = phase else { return [] }
        guard let stage = children.filter({ !$0.isReady }).map(\.stage).min() else {
            phase = .running
            return [.notify(.clusterReady(after: now - since))]
        }
        var directives: [Directive] = []
        for index in children.indices where children[index].stage == stage {
            guard case .waiting = children[index].state else { continue }
            children[index].state = .spawning
            directives.append(.spawn(children[index].name))
        }
        return directives
    }

    private mutating func spawned(_ name: String, pid: Int32, at now: Duration) -> [Directive] {
        let index = index(of: name)
        guard case .stopping = phase else {
            children[index].state = .starting(pid: pid, since: now, noticeAt: now + timing.slowStartNotice)
            return []
        }
        // It was being spawned while the stop was asked for.
        children[index].state = .stopping(pid: pid, killAt: now + timing.stopGrace)
        return [.terminate(name)]
    }

    private mutating func spawnFailed(_ name: String, reason: String, at now: Duration) -> [Directive] {
        let index = index(of: name)
        switch phase {
        case .starting:
            children[index].state = .ended
            return beginStopping(.startFailed(name, .notSpawned(reason)), at: now)
        case .running:
            return restartLater(index, .notStarted(reason), at: now)
        case .stopping:
            children[index].state = .ended
            return continueStopping(at: now)
        case .idle, .finished:
            return []
        }
    }

    private mutating func ready(_ name: String, at now: Duration) -> [Directive] {
        let index = index(of: name)
        // A report that crosses a stop or the child's death comes too late to matter.
        guard case .starting(let pid, let since, _) = children[index].state else { return [] }
        children[index].state = .ready(pid: pid, since: now)
        let isRestart = children[index].restarts > 0
        let notice: Notice = isRestart ? .recovered(name, after: now - since) : .ready(name, after: now - since)
        return [.notify(notice)] + advance(at: now)
    }

    private mutating func exited(_ name: String, _ exit: ProcessExit, at now: Duration) -> [Directive] {
        let index = index(of: name)
        if case .stopping = children[index].state {
            children[index].state = .ended
            return [.notify(.stopped(name, exit))] + continueStopping(at: now)
        }
        switch phase {
        case .starting:
            if case .starting = children[index].state, case .code = exit, children[index].restarts == 0 {
                children[index].state = .ended
                return beginStopping(.startFailed(name, .exited(exit)), at: now)
            }
            return restartLater(index, exit, at: now)
        case .running:
            return restartLater(index, exit, at: now)
        case .stopping:
            // It died by itself before its turn to be stopped came.
            children[index].state = .ended
            return [.notify(.stopped(name, exit))] + continueStopping(at: now)
        case .idle, .finished:
            return []
        }
    }

    private mutating func restartLater(_ index: Int, _ exit: ProcessExit, at now: Duration) -> [Directive] {
        if case .ready(_, let since) = children[index].state, now - since >= timing.healthyAfter {
            children[index].deaths = 0
        }
        let delay = Self.delay(afterDeaths: children[index].deaths, timing)
        children[index].deaths += 1
        children[index].restarts += 1
        children[index].state = .delayed(until: now + delay)
        return [
            .notify(.died(children[index].name, exit, restartIn: delay, restarts: children[index].restarts))
        ]
    }

    /// `firstDelay`, doubled for each death before this one, at most `longestDelay`.
    static func delay(afterDeaths deaths: Int, _ timing: Timing) -> Duration {
        // 2^10 is far beyond the longest delay; more would overflow some day.
        min(timing.firstDelay * (1 << min(deaths, 10)), timing.longestDelay)
    }

    private mutating func deadlinePassed(at now: Duration) -> [Directive] {
        var directives: [Directive] = []
        for index in children.indices {
            let name = children[index].name
            switch children[index].state {
            case .delayed(let until) where until <= now:
                children[index].state = .spawning
                directives.append(.spawn(name))
            case .starting(let pid, let since, let noticeAt) where noticeAt <= now:
                children[index].state = .starting(pid: pid, since: since, noticeAt: now + timing.slowStartNotice)
                directives.append(.notify(.slowToStart(name, waiting: now - since)))
            case .stopping(let pid, let killAt?) where killAt <= now:
                children[index].state = .stopping(pid: pid, killAt: nil)
                directives += [.notify(.killing(name, because: .graceTimePassed)), .kill(name)]
            default:
                break
            }
        }
        return directives
    }
}

// MARK: - Stopping

extension Supervisor {
    private mutating func stopRequested(at now: Duration) -> [Directive] {
        switch phase {
        case .idle, .starting, .running:
            return beginStopping(.stopped, at: now)
        case .stopping(_, let since):
            guard now - since >= timing.sameRequestWithin else { return [] }
            var directives: [Directive] = []
            for index in children.indices {
                guard let pid = children[index].pid else { continue }
                children[index].state = .stopping(pid: pid, killAt: nil)
                directives += [
                    .notify(.killing(children[index].name, because: .askedTwice)), .kill(children[index].name),
                ]
            }
            return directives
        case .finished:
            return []
        }
    }

    private mutating func beginStopping(_ outcome: Outcome, at now: Duration) -> [Directive] {
        phase = .stopping(outcome, since: now)
        for index in children.indices {
            switch children[index].state {
            case .waiting, .delayed: children[index].state = .ended
            case .spawning, .starting, .ready, .stopping, .ended: break
            }
        }
        return continueStopping(at: now)
    }

    /// Stops the last stage that still runs; finishes when none does.
    private mutating func continueStopping(at now: Duration) -> [Directive] {
        guard case .stopping(let outcome, _) = phase else { return [] }
        guard let stage = children.filter({ !$0.hasEnded }).map(\.stage).max() else {
            phase = .finished
            return [.finish(outcome)]
        }
        var directives: [Directive] = []
        for index in children.indices where children[index].stage == stage {
            switch children[index].state {
            case .starting(let pid, _, _), .ready(let pid, _):
                children[index].state = .stopping(pid: pid, killAt: now + timing.stopGrace)
                directives += [.notify(.stopping(children[index].name)), .terminate(children[index].name)]
            case .waiting, .spawning, .delayed, .stopping, .ended:
                break
            }
        }
        return directives
    }
}
