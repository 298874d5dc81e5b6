import Testing

@testable import Orchestra

/// The supervisor as a value: events in, directives out, no process and no clock.
@Suite struct SupervisorTests {
    private static let timing = Supervisor.Timing()
    private var supervisor = Supervisor(stages: [["broker"], ["silo-1"], ["agent-1", "gateway-1"]])

    /// Reports a spawned child and its readiness; returns the directives of the readiness.
    private mutating func bringUp(_ name: String, pid: Int32, at now: Duration) -> [Supervisor.Directive] {
        #expect(supervisor.handle(.spawned(name, pid: pid), at: now) == [])
        return supervisor.handle(.ready(name), at: now)
    }

    private mutating func startAll() {
        _ = supervisor.handle(.begin, at: .zero)
        _ = bringUp("broker", pid: 1, at: .zero)
        _ = bringUp("silo-1", pid: 2, at: .zero)
        _ = bringUp("agent-1", pid: 3, at: .zero)
        _ = bringUp("gateway-1", pid: 4, at: .zero)
    }

    // MARK: Starting

    @Test mutating func startsStageByStage() {
        #expect(supervisor.handle(.begin, at: .zero) == [.spawn("broker")])
        #expect(
            bringUp("broker", pid: 1, at: .seconds(1)) == [
                .notify(.ready("broker", after: .zero)), .spawn("silo-1"),
            ])
        #expect(
            bringUp("silo-1", pid: 2, at: .seconds(2)).suffix(2) == [.spawn("agent-1"), .spawn("gateway-1")])
        #expect(bringUp("gateway-1", pid: 4, at: .seconds(3)) == [.notify(.ready("gateway-1", after: .zero))])
        #expect(
            bringUp("agent-1", pid: 3, at: .seconds(4)) == [
                .notify(.ready("agent-1", after: .zero)), .notify(.clusterReady(after: .seconds(4))),
            ])
        #expect(supervisor.processIDs == ["broker": 1, "silo-1": 2, "agent-1": 3, "gateway-1": 4])
        #expect(supervisor.nextDeadline == nil)
    }

    @Test mutating func aChildThatGivesUpBeforeItWasReadyEndsTheStart() {
        _ = supervisor.handle(.begin, at: .zero)
        _ = bringUp("broker", pid: 1, at: .zero)
        _ = supervisor.handle(.spawned("silo-1", pid: 2), at: .zero)
        #expect(
            supervisor.handle(.exited("silo-1", .code(2)), at: .seconds(1)) == [
                .notify(.stopping("broker")), .terminate("broker"),
            ])
        #expect(
            supervisor.handle(.exited("broker", .code(0)), at: .seconds(2)) == [
                .notify(.stopped("broker", .code(0))), .finish(.startFailed("silo-1", .exited(.code(2)))),
            ])
    }

    @Test mutating func aChildKilledBeforeItWasReadyIsStartedAgain() {
        _ = supervisor.handle(.begin, at: .zero)
        _ = supervisor.handle(.spawned("broker", pid: 1), at: .zero)
        #expect(
            supervisor.handle(.exited("broker", .signal(9)), at: .seconds(1)) == [
                .notify(.died("broker", .signal(9), restartIn: .milliseconds(200), restarts: 1))
            ])
        #expect(supervisor.handle(.deadline, at: .milliseconds(1200)) == [.spawn("broker")])
        #expect(
            bringUp("broker", pid: 9, at: .seconds(2)) == [
                .notify(.recovered("broker", after: .zero)), .spawn("silo-1"),
            ])
    }

    @Test mutating func aChildThatCannotBeSpawnedEndsTheStart() {
        _ = supervisor.handle(.begin, at: .zero)
        #expect(
            supervisor.handle(.spawnFailed("broker", reason: "no memory"), at: .zero)
                == [.finish(.startFailed("broker", .notSpawned("no memory")))])
    }

    @Test mutating func slowStartsAreMentionedAgainAndAgain() {
        _ = supervisor.handle(.begin, at: .zero)
        _ = supervisor.handle(.spawned("broker", pid: 1), at: .zero)
        for second in [10, 20, 30] {
            #expect(supervisor.nextDeadline == .seconds(second))
            #expect(
                supervisor.handle(.deadline, at: .seconds(second))
                    == [.notify(.slowToStart("broker", waiting: .seconds(second)))])
        }
    }

    // MARK: Restarting

    @Test mutating func theDelayDoublesUpToItsBoundAndNeverGivesUp() {
        startAll()
        var now = Duration.seconds(1)
        var delays: [Duration] = []
        for _ in 0..<100 {
            let directives = supervisor.handle(.exited("agent-1", .signal(9)), at: now)
            guard case .notify(.died("agent-1", .signal(9), let delay, _))? = directives.first else {
                Issue.record("expected a death notice, got \(directives)")
                return
            }
            delays.append(delay)
            now += delay
            #expect(supervisor.handle(.deadline, at: now) == [.spawn("agent-1")])
            _ = bringUp("agent-1", pid: 7, at: now)
            now += .seconds(1)
        }
        #expect(
            delays.prefix(7) == [
                .milliseconds(200), .milliseconds(400), .milliseconds(800), .milliseconds(1600), .milliseconds(3200),
                .seconds(5), .seconds(5),
            ])
        #expect(delays.last == .seconds(5))
    }

    @Test mutating func theDelayBeginsAnewAfterAHealthyTime() {
        startAll()
        var now = Duration.seconds(1)
        for expected in [Duration.milliseconds(200), .milliseconds(400), .milliseconds(200)] {
            guard
                case .notify(.died(_, _, restartIn: let delay, _))? = supervisor.handle(
                    .exited("silo-1", .code(1)), at: now
                ).first
            else {
                Issue.record("no death notice")
                return
            }
            #expect(delay == expected)
            now += delay
            _ = supervisor.handle(.deadline, at: now)
            _ = bringUp("silo-1", pid: 5, at: now)
            // Short the first time, long the second.
            now += expected == .milliseconds(400) ? .seconds(10) : .seconds(9)
        }
    }

    @Test mutating func onlyTheDeadChildIsStartedAgain() {
        startAll()
        _ = supervisor.handle(.exited("broker", .signal(11)), at: .seconds(1))
        #expect(supervisor.processIDs.keys.sorted() == ["agent-1", "gateway-1", "silo-1"])
        #expect(supervisor.handle(.deadline, at: .milliseconds(1100)) == [])
        #expect(supervisor.handle(.deadline, at: .milliseconds(1200)) == [.spawn("broker")])
        #expect(supervisor.handle(.deadline, at: .milliseconds(1300)) == [])
    }

    @Test mutating func aRestartThatFailsAtOnceIsTriedAgain() {
        startAll()
        _ = supervisor.handle(.exited("gateway-1", .signal(9)), at: .seconds(1))
        _ = supervisor.handle(.deadline, at: .seconds(2))
        _ = supervisor.handle(.spawned("gateway-1", pid: 8), at: .seconds(2))
        #expect(
            supervisor.handle(.exited("gateway-1", .code(1)), at: .seconds(2)) == [
                .notify(.died("gateway-1", .code(1), restartIn: .milliseconds(400), restarts: 2))
            ])
        _ = supervisor.handle(.deadline, at: .seconds(3))
        #expect(
            supervisor.handle(.spawnFailed("gateway-1", reason: "no memory"), at: .seconds(3)) == [
                .notify(.died("gateway-1", .notStarted("no memory"), restartIn: .milliseconds(800), restarts: 3))
            ])
    }

    // MARK: Stopping

    @Test mutating func stopsStageByStageBackwards() {
        startAll()
        #expect(
            supervisor.handle(.stopRequested, at: .seconds(1)) == [
                .notify(.stopping("agent-1")), .terminate("agent-1"),
                .notify(.stopping("gateway-1")), .terminate("gateway-1"),
            ])
        #expect(supervisor.handle(.exited("gateway-1", .code(0)), at: .seconds(1)).count == 1)
        #expect(
            supervisor.handle(.exited("agent-1", .code(0)), at: .seconds(1)).suffix(2)
                == [.notify(.stopping("silo-1")), .terminate("silo-1")])
        #expect(
            supervisor.handle(.exited("silo-1", .code(0)), at: .seconds(1)).suffix(2)
                == [.notify(.stopping("broker")), .terminate("broker")])
        #expect(supervisor.handle(.exited("broker", .code(0)), at: .seconds(1)).last == .finish(.stopped))
        #expect(supervisor.handle(.stopRequested, at: .seconds(1)) == [])
    }

    @Test mutating func aChildThatDoesNotStopInTimeIsKilledOnce() {
        startAll()
        _ = supervisor.handle(.exited("agent-1", .signal(9)), at: .seconds(1))
        _ = supervisor.handle(.stopRequested, at: .seconds(1))
        #expect(supervisor.nextDeadline == .seconds(21))
        #expect(
            supervisor.handle(.deadline, at: .seconds(21)) == [
                .notify(.killing("gateway-1", because: .graceTimePassed)), .kill("gateway-1"),
            ])
        #expect(supervisor.nextDeadline == nil)
        #expect(supervisor.handle(.exited("gateway-1", .signal(9)), at: .seconds(22)).last == .terminate("silo-1"))
    }

    @Test mutating func theSecondRequestKillsEverything() {
        startAll()
        _ = supervisor.handle(.stopRequested, at: .seconds(1))
        let killed = supervisor.handle(.stopRequested, at: .seconds(2)).filter {
            if case .kill = $0 { true } else { false }
        }
        #expect(killed == [.kill("broker"), .kill("silo-1"), .kill("agent-1"), .kill("gateway-1")])
    }

    @Test mutating func aRequestToldTwiceIsOneRequest() {
        startAll()
        _ = supervisor.handle(.stopRequested, at: .seconds(1))
        #expect(supervisor.handle(.stopRequested, at: .milliseconds(1400)) == [])
        #expect(supervisor.handle(.stopRequested, at: .milliseconds(1500)) != [])
    }

    @Test mutating func aChildSpawnedWhileStoppingIsStoppedToo() {
        startAll()
        _ = supervisor.handle(.exited("silo-1", .signal(9)), at: .seconds(1))
        #expect(supervisor.handle(.deadline, at: .seconds(2)) == [.spawn("silo-1")])
        _ = supervisor.handle(.stopRequested, at: .seconds(2))
        #expect(supervisor.handle(.spawned("silo-1", pid: 12), at: .seconds(2)) == [.terminate("silo-1")])
        for name in ["agent-1", "gateway-1", "silo-1"] {
            _ = supervisor.handle(.exited(name, .code(0)), at: .seconds(3))
        }
        #expect(supervisor.handle(.exited("broker", .code(0)), at: .seconds(3)).last == .finish(.stopped))
    }

    @Test mutating func aChildWaitingForItsRestartIsNotStartedWhileStopping() {
        startAll()
        _ = supervisor.handle(.exited("broker", .signal(9)), at: .seconds(1))
        _ = supervisor.handle(.stopRequested, at: .seconds(1))
        #expect(supervisor.handle(.deadline, at: .seconds(2)) == [])
        for name in ["agent-1", "gateway-1"] {
            _ = supervisor.handle(.exited(name, .code(0)), at: .seconds(3))
        }
        #expect(supervisor.handle(.exited("silo-1", .code(0)), at: .seconds(3)).last == .finish(.stopped))
    }

    @Test mutating func aLateReportOfReadinessChangesNothing() {
        startAll()
        _ = supervisor.handle(.stopRequested, at: .seconds(1))
        #expect(supervisor.handle(.ready("agent-1"), at: .seconds(1)) == [])
    }
}
