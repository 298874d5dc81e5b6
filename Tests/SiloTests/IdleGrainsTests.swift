import OrchestraCore
import Synchronization
import Testing

@testable import Silo

/// Grains that nobody calls do not stay in memory.
@Suite(.timeLimit(.minutes(1))) struct IdleGrainsTests {
    private func liveCount(_ bench: PartitionBench) -> Int { bench.runtime.shared.withLock { $0.state.liveCount } }

    private func desk(_ bench: PartitionBench, _ key: String) throws -> GrainReference<Desk> {
        try ClusterClient(handler: bench).grain(Desk.self, key: key)
    }

    @Test func idleGrainsAreCollectedAndBusyOnesAreNot() async throws {
        let bench = try PartitionBench(grains: [Counter.self, Desk.self])
        try await bench.serve { bench in
            try await bench.idle()
            for key in ["idle", "busy"] {
                _ = try await bench.grain(key).send(Add(amount: 1))
                _ = try await desk(bench, key).send(Run(.add(1)))
            }
            #expect(liveCount(bench) == 2 && bench.runtime.volatileGrains.count == 2)
            try await eventually("the idle ones are gone") {
                bench.clock.advance(.seconds(5 * 60))
                let durable = try await bench.total("busy")
                let volatile = try await desk(bench, "busy").ask(Total()).value
                #expect((durable, volatile) == (1, 1))
                return liveCount(bench) == 1 && bench.runtime.volatileGrains.count == 1
            }
            #expect(try await bench.total("idle") == 1, "a durable grain is decoded again")
            await expectCode(.notFound) { _ = try await desk(bench, "idle").ask(Total()) }
        }
    }

    @Test func grainsStayForHalfTheIdleTimeAtLeast() async throws {
        let bench = try PartitionBench(grains: [Counter.self, Desk.self]) { $0.idleTime = .seconds(60) }
        try await bench.serve { bench in
            try await bench.idle()
            // Just before the collector comes.
            bench.clock.advance(.seconds(29))
            _ = try await bench.grain("young").send(Add(amount: 1))
            _ = try await desk(bench, "young").send(Run(.add(1)))
            for _ in 0..<2 {
                bench.clock.advance(.seconds(14))
                // A few ticks, in which nothing must happen.
                try await Task.sleep(for: .milliseconds(50))
                #expect(liveCount(bench) == 1 && bench.runtime.volatileGrains.count == 1)
            }
            bench.clock.advance(.seconds(60))
            try await eventually("both are gone") {
                bench.clock.advance(.seconds(30))
                return liveCount(bench) == 0 && bench.runtime.volatileGrains.count == 0
            }
        }
    }

    @Test func aTurnUnderWayIsNotIdle() async throws {
        let bench = try PartitionBench(grains: [Desk.self]) { $0.idleTime = .seconds(10) }
        try await bench.serve { bench in
            try await bench.idle()
            let gate = OneShot<Void>()
            Desk.stop.use { $0["long"] = { await gate.value() } }
            let grain = try desk(bench, "long")
            _ = try await grain.send(Run(.add(1)))
            let sum = Locked<Result<Int, any Error>?>(nil)
            // A task, so that a turn that is lost fails the test instead of keeping it waiting.
            let call = Task {
                let result: Result<Int, any Error>
                do {
                    result = .success(try await grain.send(Run(.stop), deadline: .seconds(1_000)))
                } catch {
                    result = .failure(error)
                }
                sum.use { $0 = result }
            }
            defer { call.cancel() }
            try await eventually("it has begun") { Desk.probe.count(of: "run long old") == 1 }
            for _ in 0..<3 {
                bench.clock.advance(.seconds(11))
                // A few ticks, in which nothing must happen.
                try await Task.sleep(for: .milliseconds(20))
            }
            gate.resolve(())
            try await eventually("its caller is answered") { sum.value != nil }
            #expect(try sum.value?.get() == 1)
        }
    }
}
