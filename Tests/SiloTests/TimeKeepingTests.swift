import OrchestraCore
import Testing

@testable import Silo

/// A silo looks at what time brings when something is due or somebody asks, not more often.
@Suite(.timeLimit(.minutes(1))) struct TimeKeepingTests {
    private static let start = ContinuousClock.now
    private let tick = Duration.milliseconds(20)

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant {
        TimeKeepingTests.start + .milliseconds(milliseconds)
    }

    private func reconciles(_ plan: inout TimePlan, at milliseconds: Int, isWanted: Bool = false) -> Bool {
        plan.reconciles(at: at(milliseconds), isWanted: isWanted)
    }

    // MARK: The plan

    @Test func anIdleSiloHardlyEverLooks() {
        var plan = TimePlan(tick: tick)
        #expect(reconciles(&plan, at: 0), "the first look is at everything")
        #expect(plan.pause(at: at(0), due: nil) == TimePlan.longestPause)
        #expect(!reconciles(&plan, at: 1_999))
        #expect(reconciles(&plan, at: 2_000))
    }

    @Test func whatIsDueIsLookedAtThenAndNotWithinATick() {
        var plan = TimePlan(tick: tick)
        _ = plan.reconciles(at: at(0), isWanted: false)
        #expect(plan.pause(at: at(0), due: at(700)) == .milliseconds(700))
        #expect(plan.pause(at: at(0), due: at(5)) == tick)
        #expect(plan.pause(at: at(100), due: at(40)) == tick, "what is late as well")
    }

    @Test func changesAreFollowedSoonButNotAllAtOnce() {
        var plan = TimePlan(tick: tick)
        #expect(reconciles(&plan, at: 0, isWanted: true))
        #expect(!reconciles(&plan, at: 30, isWanted: true))
        #expect(plan.pause(at: at(30), due: nil) == .milliseconds(70))
        #expect(!reconciles(&plan, at: 99))
        #expect(reconciles(&plan, at: 100), "as was wanted before")
        #expect(plan.pause(at: at(100), due: nil) == TimePlan.longestPause)
    }

    // MARK: Attention

    @Test func whoAsksEndsTheWait() async {
        let attention = Attention()
        #expect(!attention.begin())
        async let isAsked = attention.wait(.seconds(3_600), .system)
        attention.ask()
        #expect(await isAsked)
        #expect(!attention.begin())
        #expect(await !attention.wait(.milliseconds(1), .system))
        attention.askToReconcile()
        #expect(await attention.wait(.seconds(3_600), .system), "asked before the wait began")
        #expect(attention.begin())
        #expect(!attention.begin())
    }

    // MARK: Others

    @Test func aLeaseThatIsWaitedForIsLookedAfter() async throws {
        let attention = Attention()
        let clock = TestClock()
        let lease = ServingLease(clocks: clock.clocks, attention: attention)
        let isAwaited = lease.tick()
        #expect(!isAwaited)
        async let isHeld = lease.waitUntilHeld(deadline: clock.monotonic + .seconds(60))
        #expect(await attention.wait(.seconds(10), .system))
        try await eventually("it waits") { lease.waitingCount == 1 }
        clock.advance(.seconds(61))
        let wasAwaited = lease.tick()
        #expect(wasAwaited)
        #expect(await !isHeld)
    }

    @Test func aBudgetThatIsCrossedIsNoticed() {
        let crossings = Locked(0)
        let budget = StateBudget(limit: 100) { crossings.use { $0 += 1 } }
        budget.add(100)
        #expect(crossings.value == 0)
        budget.add(1)
        #expect(crossings.value == 1)
        budget.add(50)
        budget.add(-100)
        #expect(crossings.value == 2)
    }

    // MARK: Silos

    @Test func anIdleSiloDoesNotTick() async throws {
        let pauses = Locked(0)
        let silo = try Silo.inMemory(MemoryLog()) { configuration in
            configuration.heartbeatInterval = .milliseconds(200)
            configuration.clocks.sleep = { pause in
                pauses.use { $0 += 1 }
                // The system's clock.
                try await Task.sleep(for: pause)
            }
        }
        try await silo.serve {
            await silo.waitUntilReady()
            let (before, start) = (pauses.value, ContinuousClock.now)
            try await eventually("three seconds have passed") { ContinuousClock.now - start > .seconds(3) }
            // That would be 150 ticks. Each of 15 heartbeats has its own pause and two of the keeper's.
            #expect(pauses.value - before < 80)
        }
    }

    /// What a silo hears and does is followed though its keeper never wakes up by itself.
    @Test func heartbeatsAndStepsOfPartitionsAreFollowedWithoutTicks() async throws {
        let silo = try Silo.inMemory(MemoryLog()) { configuration in
            configuration.heartbeatInterval = .milliseconds(200)
            configuration.clocks.sleep = { pause in
                try await Task.sleep(for: pause > .seconds(1) ? .seconds(3_600) : pause)
            }
        }
        try await silo.serve {
            try await eventually("it is ready") { silo.isReady }
            let counter = try ClusterClient(handler: silo).grain(Counter.self, key: "a")
            let late = await code { _ = try await counter.ask(Total(), deadline: .milliseconds(300), newerThan: 0) }
            #expect(late == .deadlineExceeded)
        }
    }
}
