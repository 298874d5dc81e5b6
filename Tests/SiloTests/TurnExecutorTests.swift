import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// Turns that suspend, and turns that take too long.
@Suite(.timeLimit(.minutes(1))) struct TurnExecutorTests {
    @Test func grainsRunAtTheSameTimeEachInItsOrder() async throws {
        let bench = try PartitionBench(grains: [Sleeper.self])
        for key in ["s1", "s2", "s3"] {
            try bench.order("sleep", key: key)
            try bench.order("walk", key: key)
        }
        try await bench.serve { bench in
            try await eventually("all three sleep at once") {
                ["s1", "s2", "s3"].allSatisfy { Sleeper.probe.count(of: "begun \($0)") == 1 }
            }
            for key in ["s3", "s1", "s2"] { Sleeper.wake(key) }
            try await bench.idle()
            for key in ["s1", "s2", "s3"] {
                let naps = try await ClusterClient(handler: bench).grain(Sleeper.self, key: key).ask(Total()).value
                #expect(naps == 2)
            }
        }
    }

    @Test func aTurnThatTakesTooLongIsAbandonedNotAwaited() async throws {
        let bench = try PartitionBench(grains: [Sleeper.self])
        try bench.order("sleep", key: "stuck")
        try bench.order("walk", key: "stuck")
        try bench.order("walk", key: "free")
        try await bench.serve { bench in
            try await eventually("it sleeps") { Sleeper.probe.count(of: "begun stuck") == 1 }
            bench.clock.advance(.seconds(3))
            try await bench.idle()
            let client = ClusterClient(handler: bench)
            #expect(try await client.grain(Sleeper.self, key: "free").ask(Total()).value == 1)
            #expect(try await client.grain(Sleeper.self, key: "stuck").ask(Total()).value == 1, "the turn after it")
            #expect(bench.runtime.executor.abandonedCount == 1)
            // What it comes to later is ignored.
            Sleeper.wake("stuck")
            try await eventually("its task has ended") { bench.runtime.executor.abandonedCount == 0 }
            try bench.order("walk", key: "stuck")
            try await bench.idle()
            #expect(try await client.grain(Sleeper.self, key: "stuck").ask(Total()).value == 2)
        }
        let letter = try #require(try bench.deadLetters.first)
        #expect(letter.code == "handlerFailed")
        #expect(letter.reason.contains("took more than"))
    }

    @Test func moreGrainsThanMayRunAtATime() async throws {
        let bench = try PartitionBench(grains: [Sleeper.self]) { $0.maximumConcurrentTurns = 2 }
        for number in 0..<100 { try bench.order("walk", key: "many-\(number)") }
        try await bench.serve { bench in
            try await bench.idle()
            for number in 0..<100 {
                let grain = try ClusterClient(handler: bench).grain(Sleeper.self, key: "many-\(number)")
                #expect(try await grain.ask(Total()).value == 1)
            }
        }
    }
}
