import EventLog
import OrchestraCore
import Records
import Synchronization
import Testing

@testable import Silo

/// Partitions say when they want to be looked at again, and whoever adds something for time to look after asks for it.
@Suite(.timeLimit(.minutes(1))) struct AttentionTests {
    @Test func anIdlePartitionWantsNothing() async throws {
        let bench = try PartitionBench { $0.idleTime = .seconds(600) }
        try await bench.runUnticked {
            try await bench.settle()
            #expect(bench.pauseWanted > .seconds(50), "until idle grains are collected")
            #expect(bench.pauseWanted <= .seconds(300))
        }
    }

    @Test func whoeverWaitsIsLookedAfter() async throws {
        let bench = try PartitionBench(grains: [Counter.self, Desk.self])
        try await bench.runUnticked {
            let gate = OneShot<Void>()
            Desk.stop.use { $0["keeping"] = { await gate.value() } }
            let desk = try ClusterClient(handler: bench).grain(Desk.self, key: "keeping")
            var calls: [Task<Void, Never>] = []
            try await bench.expectAsked("a volatile turn") {
                calls.append(later { _ = try await desk.send(Run(.stop)) })
            }
            try await eventually("it runs") { bench.runtime.volatileGrains.callCount == 1 }
            #expect(bench.pauseWanted <= .zero)
            gate.resolve(())
            for call in calls { await call.value }
            try await bench.settle()

            bench.log.blockCommits(true)
            let counter = try bench.grain("keeping")
            var command: Task<Void, Never>?
            try await bench.expectAsked("a command") {
                command = later { _ = try await counter.send(Add(amount: 1)) }
            }
            try await eventually("it is committed") { bench.log.blockedCommits == 1 }
            #expect(bench.pauseWanted <= .zero, "its caller waits")
            try await bench.expectAsked("a commit") { bench.log.blockCommits(false) }
            await command?.value
            try await bench.settle()

            var poll: Task<Void, Never>?
            try await bench.expectAsked("a long poll") {
                poll = later { _ = try await counter.ask(Total(), deadline: .seconds(5), newerThan: 99) }
            }
            try await eventually("it waits") { bench.waitingQueries == 1 }
            #expect(bench.pauseWanted <= .zero)
            bench.clock.advance(.seconds(6))
            _ = bench.pauseWanted
            await poll?.value
            try await bench.settle()
        }
    }

    @Test func whatIsDueLaterIsNamed() async throws {
        let bench = try PartitionBench()
        try await bench.runUnticked {
            try await bench.expectAsked("a timer") { try bench.order("ring 100000", key: "kept") }
            try await eventually("it is in the queue") {
                (.seconds(98) ... .seconds(100)).contains(bench.pauseWanted)
            }
            bench.clock.advance(.seconds(101))
            _ = bench.pauseWanted
            try await eventually("it has fired") { try await bench.total("kept") == 1_000 }
            try await bench.settle()

            try await bench.expectAsked("a position that nothing was committed for") {
                bench.log.appendHidden("orders", 0)
            }
            try await eventually("it is to be committed") {
                (.seconds(1)...PartitionRuntime.positionDelay).contains(bench.pauseWanted)
            }

            bench.log.inject(.abort(name: "_TRANSPORT"))
            try await bench.expectAsked("a pause") { try bench.order("add 1", key: "paused") }
            try await eventually("it pauses") { bench.runtime.shared.withLock { $0.pausedUntil } != nil }
            #expect(bench.pauseWanted <= .milliseconds(200))
        }
    }

    @Test func anyTimeMayBeDue() {
        let now = Timestamp(millisecondsSinceEpoch: 1_000)
        let instants: [(Int64, Duration)] = [
            (.min, .zero), (999, .zero), (1_001, .milliseconds(1)), (.max, .seconds(3_600)),
        ]
        for (due, wait) in instants {
            #expect(PartitionRuntime.wait(for: Timestamp(millisecondsSinceEpoch: due), from: now) == wait)
        }
    }

    @Test func eachStepOfAPartitionAsksForThePlacement() async throws {
        let bench = try PartitionBench()
        #expect(!bench.attention.begin())
        try await bench.runUnticked {
            #expect(bench.attention.begin())
        }
    }

    // MARK: Each step by itself

    // The keeper may have looked just before the last step: that one has to ask, whoever has asked before.

    @Test func aTurnThatARecordBeginsIsLookedAfter() async throws {
        let bench = try PartitionBench(grains: [Sleeper.self])
        try await bench.runUnticked {
            try await bench.settle()
            defer { Sleeper.wake("unasked") }
            try await bench.expectAsked("a turn") { try bench.order("sleep", key: "unasked") }
            try await eventually("it is under way") { Sleeper.probe.count(of: "begun unasked") == 1 }
            #expect(bench.pauseWanted <= .zero)
        }
    }

    @Test func aCommandThatWaitsBehindABatchIsLookedAfter() async throws {
        let bench = try PartitionBench()
        try await bench.runUnticked {
            try await bench.settle()
            bench.log.blockCommits(true)
            try bench.order("add 1", key: "first")
            try await eventually("a batch is being committed") { bench.log.blockedCommits == 1 }
            var call: Task<Void, Never>?
            try await bench.expectAsked("a command") {
                let grain = try bench.grain("second")
                call = later { _ = try await grain.send(Add(amount: 1)) }
            }
            #expect(bench.pauseWanted <= .zero)
            var query: Task<Void, Never>?
            try await bench.expectAsked("a query that waits for records") {
                query = later { _ = try await bench.total("nobody") }
            }
            bench.log.blockCommits(false)
            await call?.value
            await query?.value
        }
    }

    @Test func aPauseAfterAnAbortIsLookedAfter() async throws {
        let bench = try PartitionBench()
        try await bench.runUnticked {
            try await bench.settle()
            bench.log.blockCommits(true)
            try bench.order("add 1", key: "aborted")
            try await eventually("it is being committed") { bench.log.blockedCommits == 1 }
            bench.log.inject(.abort(name: "_TRANSPORT"))
            try await bench.expectAsked("a pause") { bench.log.blockCommits(false) }
            try await eventually("it pauses") { bench.runtime.shared.withLock { $0.pausedUntil } != nil }
            #expect(bench.pauseWanted <= .milliseconds(200))
        }
    }

    @Test func recordsThatWaitForTheRegistryAreLookedAfter() async throws {
        let bench = try PartitionBench(codec: TestCodec(needsFetching: true))
        try await bench.runUnticked {
            try await bench.settle()
            bench.codec.isReachable = false
            _ = bench.attention.begin()
            try bench.order("add 1", key: "blocked")
            try await eventually("it waits") { bench.runtime.shared.withLock { $0.recordsBlockedUntil } != nil }
            try await bench.expectAttention("a pause")
            #expect(bench.pauseWanted <= .seconds(1))
        }
    }

    @Test func recordsThatWaitForAnOwnerAreLookedAfter() async throws {
        let calls = TestCalls()
        let bench = try PartitionBench(grains: [Counter.self, Reader.self], calls: calls)
        calls.before { _ throws(OrchestraError) in
            // As if the turn had been looked at by now.
            _ = bench.attention.begin()
            throw OrchestraError(.unavailable, "nobody owns it")
        }
        try await bench.runUnticked {
            try await bench.settle()
            try bench.order("read elsewhere", key: "obstructed")
            try await eventually("it waits") { bench.runtime.shared.withLock { $0.obstructedUntil } != nil }
            try await bench.expectAttention("a pause")
            #expect(bench.pauseWanted <= .seconds(1))
        }
    }
}

/// A call that is answered, or refused, only when the test has gone on. A task, because it begins in a closure and is
/// waited for after it.
private func later(_ call: @escaping @Sendable () async throws -> Void) -> Task<Void, Never> {
    Task { _ = await code(call) }
}

extension PartitionBench {
    /// Everything that time must look after is asked for by whoever brings it.
    fileprivate func expectAsked(_ what: String, _ bring: () async throws -> Void) async throws {
        _ = attention.begin()
        try await bring()
        try await expectAttention(what)
    }

    fileprivate func expectAttention(_ what: String) async throws {
        try await eventually("attention for \(what)") { await attention.wait(.milliseconds(1), .system) }
    }

    /// Runs the partition without a ticker.
    fileprivate func runUnticked(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.runtime.run() }
            defer { runtime.drain() }
            try await idle()
            try await body()
        }
    }

    /// Waits until nobody waits for anything, and nothing is to be committed.
    fileprivate func settle() async throws {
        try await eventually("there is nothing to look after") {
            if self.pauseWanted > .seconds(60) { return true }
            self.clock.advance(PartitionRuntime.positionDelay)
            return false
        }
    }

    /// Looks at the partition; for how long it need not be looked at again.
    fileprivate var pauseWanted: Duration {
        let now = clock.monotonic
        return (runtime.tick(at: now) ?? now + .seconds(86_400)) - now
    }
}
