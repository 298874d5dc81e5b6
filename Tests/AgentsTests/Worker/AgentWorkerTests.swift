import Avro
import EventLog
import OrchestraCore
import Records
import Synchronization
import Testing

@testable import Agents

/// The worker on the real broker and registry.
@Suite("The agent worker", .serialized, .timeLimit(.minutes(5)))
struct AgentWorkerTests {
    @Test("a task becomes a result with the outputs of both functions")
    func summarizer() async throws {
        try await WorkerCluster.with { cluster in
            try await cluster.withWorker(cluster.configuration(), [.summarizer]) { _ in
                let input = "Ants are strong. Ants are many. We like ants."
                try await cluster.send([
                    cluster.task("w1", agent: "summarizer", input: input), cluster.task("w2", agent: "somebody else"),
                    cluster.task("w3", agent: "summarizer", input: ""),
                    cluster.task("w4", agent: "summarizer", input: String(repeating: "word \0", count: 100_000)),
                ])
                let results = try await cluster.results(3)
                let result = try #require(results["w1"])
                #expect(result.taskId == "w1/0")
                #expect(result.outcome == .succeeded)
                #expect(result.output.hasPrefix("Ants are strong.\n\n45 characters, 9 words"))
                #expect(
                    result.functions.map { "\($0.plugin).\($0.function)" } == ["Text.Summarize", "Statistics.Describe"])
                #expect(result.functions.first?.output == "Ants are strong.")
                #expect(result.model == "local")
                #expect(result.worker == "agent-1")
                #expect(result.attempts == 1)
                #expect(results["w3"]?.output.hasPrefix("The text is empty") == true)
                #expect(results["w4"]?.outcome == .succeeded)
                #expect(results["w2"] == nil)
            }
        }
    }

    @Test("records that are no tasks become dead letters, and the flow goes on")
    func poison() async throws {
        try await WorkerCluster.with { cluster in
            let good = try cluster.codec.encode(cluster.task("k"))
            let poison: [(key: [UInt8]?, value: [UInt8]?, code: String)] = [
                ([1], Array("garbage".utf8), "notFramed"), ([2], [0, 0, 0, 99, 99, 1], "unknownSchemaID"),
                ([3], Array(good.prefix(good.count / 2)), "endOfData"), ([4], nil, "endOfData"),
                (nil, good, "malformed"),
                (Array("other key".utf8), good, "malformed"), ([5], Array(repeating: 7, count: 40_000), "notFramed"),
                ([6], [], "notFramed"), ([7], good + [0], "trailingBytes"),
            ]
            for record in poison { try await cluster.sendRaw(key: record.key, value: record.value) }
            try await cluster.send([cluster.task("good")], partition: 0)
            try await cluster.withWorker(cluster.configuration(), [Agent("test", description: "") { $0.input }]) { _ in
                let results = try await cluster.results(1)
                #expect(results.keys.sorted() == ["good"])
                let letters = try await cluster.read("orchestra.dead-letters", "\(poison.count) dead letters") {
                    $0.count >= poison.count
                }
                #expect(letters.count == poison.count)
                for record in letters {
                    let letter = try await cluster.codec.decode(DeadLetter.self, from: record.value ?? [])
                    let source = poison[Int(letter.offset)]
                    #expect(letter.topic == "agent-tasks")
                    #expect(letter.code == source.code, "offset \(letter.offset): \(letter.reason)")
                    #expect(letter.payload == source.value.map { Array($0.prefix(16_384)) })
                    #expect(letter.payloadSize == Int32(source.value?.count ?? 0))
                    #expect(record.key == source.key)
                    let code = record.headers.first { $0.name == "orchestra.code" }?.value
                    #expect(code == Array(letter.code.utf8))
                }
            }
        }
    }

    @Test("failures are tried again if that may help, and then become failed results")
    func failures() async throws {
        try await WorkerCluster.with { cluster in
            let agent = Agent("test", description: "") { context in
                switch context.input {
                case "twice" where context.attempt < 3: throw KernelError(.rateLimited, "slow down", isRetriable: true)
                case "always": throw KernelError(.modelFailed, "server down", isRetriable: true)
                case "never": throw OrchestraError(.invalidArgument, "not like this")
                case "hang": try await Task.sleep(for: .seconds(600))
                case "large": return String(repeating: "x", count: 900_000)
                default: break
                }
                return "attempt \(context.attempt)"
            }
            try await cluster.withWorker(cluster.configuration(), [agent]) { _ in
                try await cluster.send([
                    cluster.task("twice", input: "twice"), cluster.task("always", input: "always"),
                    cluster.task("never", input: "never"), cluster.task("large", input: "large"),
                    cluster.task("late", deadline: .seconds(-1)),
                    cluster.task("hang", input: "hang", deadline: .seconds(1)),
                ])
                let results = try await cluster.results(6)
                #expect(results["twice"]?.output == "attempt 3")
                #expect(results["twice"]?.attempts == 3)
                #expect(results["always"]?.outcome == .failed)
                #expect(results["always"]?.attempts == 3)
                #expect(results["always"]?.error == "modelFailed: server down")
                #expect(results["never"]?.attempts == 1)
                #expect(results["never"]?.error?.contains("not like this") == true)
                #expect(results["large"]?.outcome == .failed)
                #expect(results["large"]?.error?.contains("allowed are 786432") == true)
                #expect(results["late"]?.outcome == .failed)
                #expect(results["late"]?.error?.contains("deadline passed") == true)
                #expect(results["hang"]?.error?.contains("deadlineExceeded") == true)
                let letters = try await cluster.read("orchestra.dead-letters", "three dead letters") { $0.count >= 3 }
                #expect(
                    Set(letters.map { String(decoding: $0.key ?? [], as: UTF8.self) }) == ["always", "never", "hang"])
            }
        }
    }

    @Test("tasks run at once up to the limit, out of order, and a slow one does not hold up the others")
    func concurrency() async throws {
        try await WorkerCluster.with { cluster in
            let running = Mutex((now: 0, most: 0))
            let isReleased = Atomic(false)
            let agent = Agent("test", description: "") { context in
                running.withLock {
                    $0.now += 1
                    $0.most = max($0.most, $0.now)
                }
                if context.input == "slow" {
                    while !isReleased.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(5)) }
                } else {
                    try await Task.sleep(for: .milliseconds(2))
                }
                running.withLock { $0.now -= 1 }
                return "ok"
            }
            try await cluster.send(
                [cluster.task("slow", input: "slow")] + (1..<200).map { cluster.task("w\($0)") }, partition: 1)
            try await cluster.withWorker(cluster.configuration(concurrency: 4), [agent]) { _ in
                let others = try await cluster.results(199)
                #expect(others["slow"] == nil)
                isReleased.store(true, ordering: .relaxed)
                #expect(try await cluster.results(200)["slow"]?.output == "ok")
            }
            #expect(running.withLock { $0.most } == 4)
        }
    }

    @Test("what was not done when a worker ended is done by the next; what was committed is not done again")
    func handOver() async throws {
        try await WorkerCluster.with { cluster in
            let runs = Recorder<String>()
            func agent(_ name: String, hangsOn stuck: Set<String>) -> Agent {
                Agent("test", description: "") { context in
                    runs.append("\(name) \(context.workflowID)")
                    if stuck.contains(context.workflowID) { try await Task.sleep(for: .seconds(600)) }
                    return name
                }
            }
            var configuration = cluster.configuration()
            configuration.shutdownGrace = .milliseconds(100)
            let tasks = (0..<20).map { cluster.task("w\($0)") }
            try await cluster.send(tasks, partition: 2)
            try await cluster.withWorker(configuration, [agent("first", hangsOn: ["w10"])]) { _ in
                _ = try await cluster.results(19)
            }
            try await cluster.withWorker(configuration, [agent("second", hangsOn: [])]) { _ in
                let results = try await cluster.results(20)
                #expect(results["w10"]?.output == "second")
            }
            #expect(!runs.values.contains("second w9"), "offset 9 was committed and is done again")
            #expect(runs.values.contains("second w10"))
        }
    }

    @Test("while the broker is away the worker waits, and nothing is lost")
    func brokerAway() async throws {
        try await WorkerCluster.with { cluster in
            let isReleased = Atomic(false)
            let begun = Atomic(0)
            let agent = Agent("test", description: "") { _ in
                begun.add(1, ordering: .relaxed)
                while !isReleased.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(5)) }
                return "ok"
            }
            try await cluster.withWorker(cluster.configuration(concurrency: 4), [agent]) { _ in
                try await cluster.send((0..<20).map { cluster.task("w\($0)") })
                try await eventually("four tasks run") { begun.load(ordering: .relaxed) >= 4 }
                await cluster.stop()
                isReleased.store(true, ordering: .relaxed)
                try await cluster.startAgain()
                let results = try await cluster.results(20, within: .seconds(90))
                #expect(results.values.allSatisfy { $0.output == "ok" })
            }
        }
    }

    @Test("a worker that starts before broker and registry waits for them")
    func earlyStart() async throws {
        try await WorkerCluster.with { cluster in
            await cluster.stop()
            async let work: Void = cluster.withWorker(
                cluster.configuration(), [Agent("test", description: "") { $0.input }]
            ) { _ in
                try await cluster.send([cluster.task("w", input: "made it")])
                let results = try await cluster.results(1)
                #expect(results["w"]?.output == "made it")
            }
            try await cluster.startAgain()
            try await work
        }
    }

    @Test("a long task survives the rebalance that another worker brings")
    func longTaskAndRebalance() async throws {
        try await WorkerCluster.with { cluster in
            let isReleased = Atomic(false)
            let runs = Recorder<String>()
            let agent = Agent("test", description: "") { context in
                runs.append(context.workflowID)
                while !isReleased.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(5)) }
                return "ok"
            }
            var configuration = cluster.configuration("agent-1")
            configuration.revocationGrace = .milliseconds(50)
            // Range assignment gives partition 0 to the member whose id comes first, before and after.
            try await cluster.withWorker(configuration, [agent]) { _ in
                try await cluster.send([cluster.task("long")], partition: 0)
                try await eventually("the task runs") { runs.values == ["long"] }
                try await cluster.withWorker(cluster.configuration("agent-2"), [agent]) { _ in
                    isReleased.store(true, ordering: .relaxed)
                    let results = try await cluster.results(1)
                    #expect(results["long"]?.worker == "agent-1")
                }
            }
            #expect(runs.values.filter { $0 == "long" }.count <= 2)
        }
    }

    @Test("two workers share the partitions; when one ends the other goes on")
    func rebalance() async throws {
        try await WorkerCluster.with { cluster in
            let agent = Agent("test", description: "") { context in
                try await Task.sleep(for: .milliseconds(3))
                return "ok"
            }
            try await cluster.withWorker(cluster.configuration("agent-1"), [agent]) { _ in
                try await cluster.send((0..<300).map { cluster.task("a\($0)") })
                try await cluster.withWorker(cluster.configuration("agent-2"), [agent]) { _ in
                    try await cluster.send((0..<300).map { cluster.task("b\($0)") })
                    let results = try await cluster.results(600)
                    #expect(Set(results.values.map(\.worker)) == ["agent-1", "agent-2"])
                }
                try await cluster.send((0..<100).map { cluster.task("c\($0)") })
                _ = try await cluster.results(700)
            }
        }
    }

    @Test("a thousand small tasks a second and more")
    func throughput() async throws {
        try await WorkerCluster.with { cluster in
            let count = 3000
            let input = SummarizerTests.article
            try await cluster.withWorker(cluster.configuration(), [.summarizer]) { _ in
                let started = ContinuousClock.now
                try await cluster.send((0..<count).map { cluster.task("w\($0)", agent: "summarizer", input: input) })
                let results = try await cluster.results(count)
                let seconds = started.duration(to: .now) / .seconds(1)
                print(
                    "worker: \(count) tasks of \(input.utf8.count) bytes in \(seconds) s, \(Int(Double(count) / seconds))/s"
                )
                #expect(results.values.allSatisfy { $0.outcome == .succeeded })
            }
        }
    }
}
