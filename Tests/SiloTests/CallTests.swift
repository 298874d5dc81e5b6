import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// Commands and queries.
@Suite(.timeLimit(.minutes(1))) struct CallTests {
    private func request(
        _ kind: GrainCallRequest.Kind, _ method: String, key: String = "a", payload: String = "{}",
        requestID: String = "r", timeLeft: Duration = .seconds(10), newerThan: UInt64? = nil,
        after: GrainCallRequest.Position? = nil
    ) throws -> GrainCallRequest {
        GrainCallRequest(
            requestID: requestID, grain: try GrainID(type: "counter", key: key), kind: kind, method: method,
            payload: Array(payload.utf8), timeLeft: timeLeft, newerThan: newerThan, after: after)
    }

    @Test func aCommandIsAnsweredAfterItsCommit() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.blockCommits(true)
            async let reply = bench.grain("blocked").send(Add(amount: 3))
            try await eventually("the turn has run") { Counter.probe.count(of: "add blocked") == 1 }
            #expect(bench.committed(try GrainID(type: "counter", key: "blocked")) == nil)
            bench.log.blockCommits(false)
            #expect(try await reply == 3)
            #expect(bench.committed(try GrainID(type: "counter", key: "blocked")) != nil)
        }
    }

    @Test func queriesDoNotWaitForCommits() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            _ = try await bench.grain("a").send(Add(amount: 1))
            bench.log.blockCommits(true)
            async let reply = bench.grain("a").send(Add(amount: 1))
            try await eventually("the second turn has run") { Counter.probe.count(of: "add a") >= 2 }
            #expect(try await bench.total("a") == 1, "the committed value")
            bench.log.blockCommits(false)
            #expect(try await reply == 2)
        }
    }

    @Test func aRepeatedRequestHasOneEffect() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let lifeOne = try PartitionBench(log: log, codec: codec)
        try await lifeOne.serve { (bench: PartitionBench) async throws in
            #expect(try await bench.grain("once").send(Add(amount: 5), requestID: "r1") == 5)
            #expect(try await bench.grain("once").send(Add(amount: 5), requestID: "r1") == 5)
            #expect(try await bench.grain("once").send(Add(amount: 5), requestID: "r2") == 10)
        }
        // Also after a restart.
        let lifeTwo = try PartitionBench(log: log, codec: codec)
        try await lifeTwo.serve { (bench: PartitionBench) async throws in
            #expect(try await bench.grain("once").send(Add(amount: 5), requestID: "r1") == 5)
            #expect(try await bench.total("once") == 10)
        }
    }

    @Test func repetitionsWithinOneBatchHaveOneEffect() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            let grain = try bench.grain("twins")
            let replies = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await grain.send(Add(amount: 1), requestID: "same") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(replies == [Int](repeating: 1, count: 20))
        }
    }

    @Test func aCommandThatThrowsAnswersItsErrorAtOnce() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            let code = await code { _ = try await bench.grain("thrown once").send(Add(amount: -1)) }
            #expect(code == .handlerFailed)
            #expect(Counter.probe.count(of: "refuse thrown once") == 1, "its caller decides about another attempt")
            #expect(bench.log.commits.count == 1, "nothing but the claim")
        }
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func unknownNamesAreUnimplemented() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            await expectCode(.unimplemented) { _ = try await bench.handle(request(.command, "Fly")) }
            await expectCode(.unimplemented) { _ = try await bench.handle(request(.query, "Fly")) }
            await expectCode(.unimplemented) { _ = try await bench.handle(request(.query, "Add")) }
            let stranger = GrainCallRequest(
                requestID: "r", grain: try GrainID(type: "stranger", key: "a"), kind: .query, method: "Total",
                payload: [], timeLeft: .seconds(1))
            await expectCode(.unimplemented) { _ = try await bench.handle(stranger) }
        }
    }

    @Test func badRequestsAreRefused() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            let malformed = try request(.command, "Add", payload: "{\"amount\":")
            await expectCode(.invalidArgument) { _ = try await bench.handle(malformed) }
            let nameless = try request(.command, "Add", payload: "{\"amount\":1}", requestID: "")
            await expectCode(.invalidArgument) { _ = try await bench.handle(nameless) }
            let late = try request(.query, "Total", timeLeft: .zero)
            await expectCode(.deadlineExceeded) { _ = try await bench.handle(late) }
        }
    }

    @Test func aQueryOfNothingIsNotFoundOnceTheInputsAreTakenIn() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            await expectCode(.notFound) { _ = try await bench.total("nobody") }
            // A record that was acknowledged before the query is seen by it, whatever is under way.
            for number in 0..<50 {
                try bench.order("add 1", key: "fresh-\(number)")
                #expect(try await bench.total("fresh-\(number)") == 1)
            }
        }
    }

    @Test func aQueryCanWaitForARecord() async throws {
        let bench = try PartitionBench()
        try bench.order("add 1", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            let next = bench.endOffset("orders")
            async let total = bench.grain("a").ask(
                Total(), after: GrainCallRequest.Position(topic: "orders", offset: next + 1))
            try await eventually("the query waits") { bench.waitingQueries == 1 }
            try bench.order("add 1", key: "a")
            #expect(try await total.value == 2)
        }
    }

    @Test func aPositionOfAForeignTopicIsRefused() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            let foreign = try request(.query, "Total", after: .init(topic: "elsewhere", offset: 1))
            await expectCode(.invalidArgument) { _ = try await bench.handle(foreign) }
        }
    }

    @Test func longPollsWakeAtTheNextVersion() async throws {
        let bench = try PartitionBench()
        try bench.order("add 1", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            let first = try await bench.grain("a").ask(Total())
            async let second = bench.grain("a").ask(Total(), newerThan: first.version)
            try await eventually("the query waits") { bench.waitingQueries == 1 }
            try bench.order("add 1", key: "b")
            try await bench.idle()
            #expect(bench.waitingQueries == 1, "another grain's commit does not wake it")
            try bench.order("add 1", key: "a")
            let result = try await second
            #expect(result.value == 2)
            #expect(result.version > first.version)
        }
    }

    @Test func aLongPollForANewGrainWaitsForIt() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            async let result = bench.grain("unborn").ask(Total(), newerThan: 0)
            try await eventually("the query waits") { bench.waitingQueries == 1 }
            try bench.order("add 1", key: "unborn")
            #expect(try await result.value == 1)
        }
    }

    @Test func deadlinesEndWaits() async throws {
        let bench = try PartitionBench()
        try bench.order("add 1", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            let version = try await bench.grain("a").ask(Total()).version
            let poll = await code {
                _ = try await bench.grain("a").ask(Total(), deadline: .milliseconds(50), newerThan: version)
            }
            #expect(poll == .deadlineExceeded)
            bench.log.blockCommits(true)
            async let begun = code { _ = try await bench.grain("late").send(Add(amount: 1)) }
            try await eventually("its turn has run") { Counter.probe.count(of: "add late") == 1 }
            async let queued = code { _ = try await bench.grain("late").send(Add(amount: 1)) }
            try await eventually("the other waits") { bench.queuedCalls == 1 }
            bench.clock.advance(.seconds(11))
            #expect(await begun == .outcomeUnknown, "its turn had begun")
            #expect(await queued == .deadlineExceeded, "its turn had not")
            #expect(bench.queuedCalls == 0)
            bench.log.blockCommits(false)
            try await eventually("the begun turn is committed") { (try? await bench.total("late")) == 1 }
        }
    }

    @Test func fullQueuesAreOverloaded() async throws {
        let bench = try PartitionBench {
            $0.maximumQueuedCalls = 2
            $0.maximumWaitingQueries = 2
        }
        try bench.order("add 1", key: "full")
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.blockCommits(true)
            try await withThrowingTaskGroup(of: Int.self) { group in
                let grain = try bench.grain("full")
                group.addTask { try await grain.send(Add(amount: 1)) }
                try await eventually("the first is under way") { Counter.probe.count(of: "add full") == 1 }
                for _ in 0..<2 { group.addTask { try await grain.send(Add(amount: 1)) } }
                try await eventually("two wait") { bench.queuedCalls == 2 }
                await expectCode(.overloaded) { _ = try await grain.send(Add(amount: 1)) }
                for _ in 0..<2 { group.addTask { try await grain.ask(Total(), newerThan: 2).value } }
                try await eventually("two queries wait") { bench.waitingQueries == 2 }
                await expectCode(.overloaded) { _ = try await grain.ask(Total(), newerThan: 2) }
                bench.log.blockCommits(false)
                for try await _ in group {}
            }
            #expect(try await bench.total("full") == 4)
        }
    }

    @Test func aCallerThatGoesAwayLeavesNoWaiter() async throws {
        let bench = try PartitionBench()
        try bench.order("add 1", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            let grain = try bench.grain("a")
            let task = Task { try await grain.ask(Total(), newerThan: 1_000).value }
            try await eventually("the query waits") { bench.waitingQueries == 1 }
            task.cancel()
            _ = await task.result
            try await eventually("it is forgotten") { bench.waitingQueries == 0 }
        }
    }

    @Test func callsWaitWhileThePartitionIsRestored() async throws {
        let bench = try PartitionBench()
        bench.log.blockCommits(true)
        try await bench.serve { bench in
            async let reply = bench.grain("early").send(Add(amount: 1))
            async let total = bench.grain("early").ask(Total(), newerThan: 0)
            try await eventually("both wait") {
                bench.queuedCalls + bench.waitingQueries == 2
            }
            bench.log.blockCommits(false)
            #expect(try await reply == 1)
            #expect(try await total.value == 1)
        }
    }

    @Test func requestsBeyondTheCapAreOverloadedUntilTheyHaveSettled() async throws {
        let bench = try PartitionBench { $0.maximumRequests = 3 }
        try await bench.serve { bench in
            let grain = try bench.grain("capped")
            for number in 0..<3 { _ = try await grain.send(Add(amount: 1), requestID: "r\(number)") }
            await expectCode(.overloaded) { _ = try await grain.send(Add(amount: 1), requestID: "r3") }
            #expect(try await grain.send(Add(amount: 1), requestID: "r0") == 1, "the remembered ones are answered")
            bench.clock.advance(.seconds(11))
            #expect(try await grain.send(Add(amount: 1), requestID: "r3") == 4)
        }
    }

    @Test func aSiloOverItsMemoryRefusesCommandsAndTakesNoInput() async throws {
        let bench = try PartitionBench { $0.maximumSiloStateBytes = 20_000 }
        try bench.order("grow 900", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            bench.budget.add(100_000)
            try await eventually("the limit is noticed") { bench.isOverBudget }
            await expectCode(.overloaded) { _ = try await bench.grain("a").send(Add(amount: 1)) }
            try bench.order("add 1", key: "a")
            try await eventually("the record waits") { bench.queuedRecords >= 1 }
            #expect(try await bench.grain("a").ask(Total()).value == 0, "queries are answered")
            bench.budget.add(-100_000)
            try await eventually("the record is taken in") { try await bench.total("a") == 1 }
        }
    }
}
