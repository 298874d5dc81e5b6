import EventLog
import Foundation
import OrchestraCore
import Records
import Testing

@testable import Silo

/// Grains whose state is only in memory, and the calls that their turns wait for.
@Suite(.timeLimit(.minutes(1))) struct VolatileGrainTests {
    private static let grains: [any Grain.Type] = [Counter.self, Desk.self, Reader.self, Teller.self]

    private func run(
        _ bench: PartitionBench, _ errand: Errand, at key: String, deadline: Duration = .seconds(10)
    ) async throws -> Int {
        try await ClusterClient(handler: bench).grain(Desk.self, key: key).send(Run(errand), deadline: deadline)
    }

    private func sum(_ bench: PartitionBench, _ key: String) async throws -> Int {
        try await ClusterClient(handler: bench).grain(Desk.self, key: key).ask(Total()).value
    }

    /// Serves a partition that is ready.
    private func serve(
        _ bench: PartitionBench? = nil, _ body: (PartitionBench) async throws -> Void
    ) async throws {
        let bench = try bench ?? PartitionBench(grains: VolatileGrainTests.grains)
        try await bench.serve { bench in
            try await bench.idle()
            try await body(bench)
        }
    }

    /// A partition whose answers need a lease, which it holds, by a clock that the test sets.
    private func leased() throws -> (clock: TestClock, lease: ServingLease, bench: PartitionBench) {
        let clock = TestClock()
        let lease = ServingLease(clocks: clock.clocks)
        let bench = try PartitionBench(clock: clock, grains: VolatileGrainTests.grains, lease: lease)
        lease.renew(sentAt: clock.monotonic)
        return (clock, lease, bench)
    }

    @Test func commandsAreAnsweredWithoutKafka() async throws {
        try await serve { (bench: PartitionBench) async throws in
            await expectCode(.notFound) { _ = try await sum(bench, "plain") }
            bench.log.blockCommits(true)
            let commits = bench.log.commits.count
            #expect(try await run(bench, .add(2), at: "plain") == 2)
            #expect(try await run(bench, .add(3), at: "plain") == 5)
            await expectCode(.handlerFailed) { _ = try await run(bench, .both(.add(100), .refuse), at: "plain") }
            #expect(try await sum(bench, "plain") == 5, "what a turn that throws has changed is dropped")
            #expect(bench.log.commits.count == commits)
            #expect(Desk.probe.count(of: "run plain new") == 1)
            bench.log.blockCommits(false)
        }
    }

    @Test func turnsCallDurableGrainsAndWaitForTheirCommits() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let errand = Errand.both(.addToCounter(4, key: "asked"), .total(counter: "asked"))
            #expect(try await run(bench, errand, at: "asker") == 8)
            #expect(try await bench.total("asked") == 4)
        }
    }

    @Test func turnsOfOneGrainRunOneAfterTheOther() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let gate = OneShot<Void>()
            Desk.stop.use { $0["one after the other"] = { await gate.value() } }
            async let stopped = run(bench, .both(.stop, .add(1)), at: "one after the other")
            try await eventually("it has begun") { Desk.probe.count(of: "run one after the other new") == 1 }
            async let second = run(bench, .add(10), at: "one after the other")
            // Other grains of the partition, durable or not, go on; so do queries.
            #expect(try await run(bench, .add(1), at: "free") == 1)
            _ = try await bench.grain("durable").send(Add(amount: 1))
            await expectCode(.notFound) { _ = try await sum(bench, "one after the other") }
            #expect(Desk.probe.count(of: "run one after the other old") == 0)
            gate.resolve(())
            #expect(try await stopped == 1)
            #expect(try await second == 11)
        }
    }

    @Test func handlersThatDoNotSuspendRunWhereTheCallComesIn() async throws {
        let kind = try TypedVolatileKind(Desk.self)
        #expect(kind.runsImmediately(Note.name))
        #expect(!kind.runsImmediately(Run.name))
        try await serve { (bench: PartitionBench) async throws in
            let desk = try ClusterClient(handler: bench).grain(Desk.self, key: "notes")
            #expect(try await desk.send(Note(amount: 2)) == 2)
            await expectCode(.handlerFailed) { _ = try await desk.send(Note(amount: 100, refuses: true)) }
            #expect(try await desk.send(Note(amount: 3)) == 5)
            #expect(try await run(bench, .add(1), at: "notes") == 6)
            #expect(try await desk.send(Note(amount: 0, completes: true)) == 6)
            #expect(try await desk.send(Note(amount: 1)) == 1)
            #expect(Desk.probe.count(of: "note notes new") == 2)
            #expect(bench.runtime.volatileGrains.callCount == 0)
        }
    }

    @Test func theyTakeTheirTurnsAmongThoseThatSuspend() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let desk = try ClusterClient(handler: bench).grain(Desk.self, key: "mixed")
            let gate = OneShot<Void>()
            Desk.stop.use { $0["mixed"] = { await gate.value() } }
            async let stopped = run(bench, .both(.stop, .add(1)), at: "mixed")
            try await eventually("it has begun") { Desk.probe.count(of: "run mixed new") == 1 }
            async let noted = desk.send(Note(amount: 10))
            try await eventually("it waits") { bench.runtime.volatileGrains.callCount == 2 }
            async let last = run(bench, .add(100), at: "mixed")
            try await eventually("both wait") { bench.runtime.volatileGrains.callCount == 3 }
            #expect(Desk.probe.count(of: "note mixed old") == 0)
            gate.resolve(())
            #expect(try await stopped == 1)
            #expect(try await noted == 11)
            #expect(try await last == 111)
        }
    }

    @Test func manyCallersOfOneGrainLoseNothing() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let desk = try ClusterClient(handler: bench).grain(Desk.self, key: "busy desk")
            let replies = try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<500 {
                    group.addTask {
                        index % 10 == 0
                            ? try await desk.send(Run(.add(1))) : try await desk.send(Note(amount: 1))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(replies.sorted() == Array(1...500))
            #expect(bench.runtime.volatileGrains.callCount == 0)
        }
    }

    @Test func aHandlerThatDoesNotReturnInTimeIsGivenUpToo() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let desk = try ClusterClient(handler: bench).grain(Desk.self, key: "late")
            Desk.meanwhile.use {
                $0["late"] = {
                    bench.clock.advance(.seconds(11))
                    let end = ContinuousClock.now + .seconds(20)
                    while bench.runtime.volatileGrains.callCount > 0, ContinuousClock.now < end { sched_yield() }
                }
            }
            await expectCode(.deadlineExceeded) { _ = try await desk.send(Note(amount: 100)) }
            Desk.meanwhile.use { $0["late"] = nil }
            #expect(try await desk.send(Note(amount: 1)) == 1, "what it comes to is dropped")
        }
    }

    @Test(arguments: [
        ("a1", Errand.errand(.add(1), desk: "a1")),
        ("b1", .errand(.errand(.add(1), desk: "b1"), desk: "b2")),
        ("c1", .errand(.errand(.errand(.add(1), desk: "c2"), desk: "c3"), desk: "c2")),
    ])
    func aCallThatWouldComeBackFailsAtOnce(key: String, errand: Errand) async throws {
        try await serve { (bench: PartitionBench) async throws in
            let start = ContinuousClock.now
            do {
                _ = try await run(bench, errand, at: key, deadline: .seconds(600))
                Issue.record("it has come back")
            } catch let error as OrchestraError {
                #expect(error.code == .callCycle)
                #expect(error.message.contains("desk/\(key) →"), "\(error)")
            }
            #expect(ContinuousClock.now - start < .seconds(30))
            // Queries do not wait, so they may go round; and the grains are free again.
            #expect(try await run(bench, .add(1), at: key) == 1)
            #expect(try await run(bench, .errand(.peek(desk: key), desk: "other-\(key)"), at: key) == 2)
        }
    }

    @Test func callsAreNotNestedWithoutBound() async throws {
        try await serve { (bench: PartitionBench) async throws in
            func nested(_ depth: Int) -> Errand {
                (0..<depth).reversed().reduce(.add(1)) { .errand($0, desk: "deep-\(depth)-\($1)") }
            }
            let depth = GrainCallRequest.maximumCallers
            #expect(try await run(bench, nested(depth), at: "top") == 1)
            await expectCode(.callCycle) { _ = try await run(bench, nested(depth + 1), at: "top") }
        }
    }

    @Test func deadlinesAreInherited() async throws {
        let calls = TestCalls()
        let bench = try PartitionBench(grains: VolatileGrainTests.grains, calls: calls)
        let timesLeft = Locked<[Duration]>([])
        calls.before { request throws(OrchestraError) in timesLeft.use { $0.append(request.timeLeft) } }
        try await serve(bench) { (bench: PartitionBench) async throws in
            _ = try await run(bench, .errand(.addToCounter(1, key: "x"), desk: "d2"), at: "d1", deadline: .seconds(5))
            #expect(timesLeft.value.count == 2)
            #expect(
                timesLeft.value.allSatisfy { $0 > .zero && $0 <= .seconds(5) }, "though the desk would wait an hour")
        }
    }

    @Test func aTurnThatTakesLongerThanItsCallerWaitsIsGivenUp() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let gate = OneShot<Void>()
            Desk.stop.use { $0["slow"] = { await gate.value() } }
            async let given = code { _ = try await run(bench, .both(.stop, .add(100)), at: "slow") }
            try await eventually("it has begun") { Desk.probe.count(of: "run slow new") == 1 }
            async let waiting = code { _ = try await run(bench, .add(1), at: "slow", deadline: .seconds(5)) }
            async let next = run(bench, .add(7), at: "slow", deadline: .seconds(60))
            try await eventually("two wait") { bench.runtime.volatileGrains.callCount == 3 }
            bench.clock.advance(.seconds(6))
            #expect(await waiting == .deadlineExceeded)
            bench.clock.advance(.seconds(5))
            #expect(await given == .deadlineExceeded)
            #expect(try await next == 7, "the next turn does not wait for it")
            gate.resolve(())
            #expect(try await run(bench, .add(1), at: "slow") == 8, "what it comes to is dropped")
            #expect(bench.runtime.volatileGrains.callCount == 0)
        }
    }

    @Test func cancellationReachesTheTurnThatIsGivenUp() async throws {
        try await serve { (bench: PartitionBench) async throws in
            let wasCancelled = Locked(false)
            Desk.stop.use {
                $0["cancelled"] = {
                    do {
                        try await Task.sleep(for: .seconds(3_600))
                    } catch {
                        wasCancelled.use { $0 = true }
                        throw error
                    }
                }
            }
            await expectCode(.deadlineExceeded) {
                _ = try await run(bench, .stop, at: "cancelled", deadline: .milliseconds(50))
            }
            try await eventually("its sleep has ended") { wasCancelled.value }
        }
    }

    @Test func stateIsLostWithThePartitionAndSaidSo() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec, grains: VolatileGrainTests.grains)
        let gate = OneShot<Void>()
        Desk.stop.use { $0["moved"] = { await gate.value() } }
        let begun = Locked<Task<OrchestraError.Code?, Never>?>(nil)
        let queued = Locked<Task<OrchestraError.Code?, Never>?>(nil)
        try await serve(first) { (bench: PartitionBench) async throws in
            #expect(try await run(bench, .add(1), at: "moved") == 1)
            let one = Task { await code { _ = try await run(bench, .stop, at: "moved") } }
            try await eventually("it has begun") { Desk.probe.count(of: "run moved old") == 1 }
            let other = Task { await code { _ = try await run(bench, .add(1), at: "moved") } }
            try await eventually("one waits") { bench.runtime.volatileGrains.callCount == 2 }
            begun.use { $0 = one }
            queued.use { $0 = other }
        }
        #expect(await begun.value?.value == .outcomeUnknown)
        #expect(await queued.value?.value == .notOwner, "its turn has not begun: the next owner may run it")
        await expectCode(.notOwner) { _ = try await run(first, .add(1), at: "moved") }
        gate.resolve(())
        let second = try PartitionBench(log: log, codec: codec, grains: VolatileGrainTests.grains, nodeID: "silo-2")
        try await serve(second) { (bench: PartitionBench) async throws in
            await expectCode(.notFound) { _ = try await sum(bench, "moved") }
            #expect(try await run(bench, .add(1), at: "moved") == 1)
        }
    }

    @Test func answersNeedTheLease() async throws {
        let (clock, lease, bench) = try leased()
        try await serve(bench) { (bench: PartitionBench) async throws in
            #expect(try await run(bench, .add(1), at: "leased") == 1)
            // The lease runs out while a turn is under way, and another silo takes over.
            Desk.stop.use { $0["leased"] = { clock.advance(.seconds(3)) } }
            async let zombie = code { _ = try await run(bench, .stop, at: "leased", deadline: .seconds(20)) }
            try await eventually("it has run") { Desk.probe.count(of: "run leased old") == 1 }
            try await eventually("it has ended") { bench.runtime.volatileGrains.callCount == 0 }
            lease.revoke()
            lease.renew(sentAt: clock.monotonic)
            #expect(await zombie == .outcomeUnknown)
            // Without it nothing begins.
            clock.advance(.seconds(3))
            async let late = code { _ = try await run(bench, .add(1), at: "never", deadline: .milliseconds(100)) }
            #expect(await late == .unavailable)
            #expect(Desk.probe.count(of: "run never new") == 0)
        }
    }

    @Test func completingForgets() async throws {
        try await serve { (bench: PartitionBench) async throws in
            #expect(try await run(bench, .add(3), at: "done") == 3)
            _ = try await run(bench, .complete, at: "done")
            await expectCode(.notFound) { _ = try await sum(bench, "done") }
            #expect(bench.runtime.volatileGrains.count == 0)
            #expect(try await run(bench, .add(1), at: "done") == 1)
        }
    }

    /// Between two terms of the lease another silo may have served the partition, and its grains with it.
    @Test func answersNeedTheSameTermOfTheLease() async throws {
        let (clock, lease, bench) = try leased()
        try await serve(bench) { (bench: PartitionBench) async throws in
            #expect(try await run(bench, .add(1), at: "term") == 1)
            clock.advance(.seconds(3))
            async let query = code { _ = try await sum(bench, "term") }
            async let command = code { _ = try await run(bench, .add(10), at: "term") }
            try await eventually("both wait for the lease") { lease.waitingCount == 2 }
            lease.revoke()
            lease.renew(sentAt: clock.monotonic)
            #expect(await query == .unavailable)
            #expect(await command == .unavailable)
            #expect(Desk.probe.count(of: "run term old") == 0, "its turn has not begun")
            #expect(try await sum(bench, "term") == 1, "who calls now is answered")
        }
    }

    @Test func grainsAndCallsAreBounded() async throws {
        let bench = try PartitionBench(grains: VolatileGrainTests.grains) {
            $0.maximumVolatileGrains = 2
            $0.maximumQueuedCalls = 3
        }
        try await serve(bench) { (bench: PartitionBench) async throws in
            for key in ["one", "two"] { _ = try await run(bench, .add(1), at: key) }
            await expectCode(.overloaded) { _ = try await run(bench, .add(1), at: "three") }
            _ = try await run(bench, .complete, at: "two")
            #expect(try await run(bench, .add(1), at: "three") == 1)
            let gate = OneShot<Void>()
            Desk.stop.use { $0["one"] = { await gate.value() } }
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await run(bench, .stop, at: "one") }
                try await eventually("it is there") { bench.runtime.volatileGrains.callCount == 1 }
                for _ in 0..<2 { group.addTask { try await run(bench, .add(1), at: "one") } }
                try await eventually("three are there") { bench.runtime.volatileGrains.callCount == 3 }
                await expectCode(.overloaded) { _ = try await run(bench, .add(1), at: "one") }
                gate.resolve(())
                for try await _ in group {}
            }
            #expect(try await sum(bench, "one") == 3)
        }
    }

    @Test func misuseIsRefused() async throws {
        try await serve { (bench: PartitionBench) async throws in
            _ = try await run(bench, .add(1), at: "used")
            let desk = try ClusterClient(handler: bench).grain(Desk.self, key: "used")
            await expectCode(.invalidArgument) { _ = try await desk.ask(Total(), newerThan: 1) }
            await expectCode(.notFound) { _ = try await desk.ask(Unanswered()) }
            await expectCode(.unimplemented) { _ = try await desk.ask(Fail(code: "")) }
            await expectCode(.unimplemented) { _ = try await desk.send(Add(amount: 1)) }
            // Told commands are durable, so they need durable grains.
            let told = GrainCommandRecord(
                requestId: "r", grainType: "desk", grainKey: "used", method: "Run", payload: [], sentBy: "teller/t",
                sentAt: bench.clock.wall)
            bench.log.append(
                ProducerRecord(
                    topic: Topics.commands, partition: 0, key: Array("used".utf8), value: try bench.codec.encode(told)))
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
            #expect(try bench.deadLetters.first?.reason.contains("volatile, which cannot be told") == true)
        }
    }

    @Test func tablesThatCannotWorkStopTheStart() throws {
        struct Twice: VolatileGrain {
            static let type: GrainType = "twice"
            static let handlers = Handlers<Self> {
                Query(Total.self) { _, _ in 1 }
                Query(Total.self) { _, _ in 2 }
            }
        }
        struct Timed: VolatileGrain {
            static let type: GrainType = "timed"
            static let handlers = Handlers<Self> { TimerHandler<Self>("x") { _, _ in } }
        }
        struct Odd: Grain, Codable {
            typealias TurnContext = VolatileTurn
            static let type: GrainType = "odd"
            static let handlers = Handlers<Self> { Command(Add.self) { _, _, _ in 1 } }
        }
        struct Namesake: VolatileGrain {
            static let type: GrainType = "counter"
            static let handlers = Handlers<Self> { Query(Total.self) { _, _ in 1 } }
        }
        let tables: [[any Grain.Type]] = [[Twice.self], [Timed.self], [Odd.self], [Counter.self, Namesake.self]]
        for grains in tables {
            let error = #expect(throws: OrchestraError.self) { try PartitionBench(grains: grains) }
            #expect(error?.code == .badConfiguration, "\(grains): \(error.map { "\($0)" } ?? "accepted")")
        }
    }

    /// A durable turn may read a volatile grain; it gets the state after its last turn.
    @Test func durableTurnsReadVolatileGrains() async throws {
        struct Peeker: Grain, Codable {
            static let type: GrainType = "peeker"
            var seen = 0
            static let handlers = Handlers<Self> {
                Command(Add.self) { peeker, _, turn in
                    peeker.seen = try await turn.read(Total(), of: Desk.type, key: "read")
                    return peeker.seen
                }
            }
        }
        let bench = try PartitionBench(grains: [Desk.self, Peeker.self])
        try await serve(bench) { (bench: PartitionBench) async throws in
            _ = try await run(bench, .add(6), at: "read")
            let peeker = try ClusterClient(handler: bench).grain(Peeker.self, key: "p")
            #expect(try await peeker.send(Add(amount: 0)) == 6)
        }
    }
}
