import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// The built-in workflow, through a partition.
@Suite(.timeLimit(.minutes(1))) struct WorkflowGrainTests {
    private static let twoSteps = WorkflowDefinition(
        name: "two-steps",
        steps: [
            .init(agent: "reader", deadline: .seconds(60)), .init(agent: "writer", deadline: .seconds(120)),
        ])

    private func bench() throws -> PartitionBench {
        try PartitionBench(
            grains: [WorkflowGrain.self], workflows: [.summarize, WorkflowGrainTests.twoSteps])
    }

    private func start(_ bench: PartitionBench, _ workflow: String, id: String = "w", key: String? = nil) throws {
        let event = WorkflowStartEvent(
            workflowId: id, workflow: workflow, input: "the text", inputDigest: "digest", acceptedAt: bench.clock.wall,
            gateway: "gateway-1", traceParent: "trace")
        bench.log.append(
            ProducerRecord(
                topic: Topics.workflowStartEvents, partition: 0, key: Array((key ?? id).utf8),
                value: try bench.codec.encode(event)))
    }

    private func finish(
        _ bench: PartitionBench, task: String, outcome: AgentOutcome = .succeeded, output: String = "done",
        error: String? = nil
    ) throws {
        let now = bench.clock.wall
        let result = AgentResult(
            taskId: task, workflowId: "w", agent: "reader", worker: "agent-1", outcome: outcome, output: output,
            functions: [FunctionOutput(plugin: "Text", function: "Statistics", output: "3 words")], error: error,
            model: "local", startedAt: now, finishedAt: now)
        bench.log.append(
            ProducerRecord(
                topic: Topics.agentResults, partition: 0, key: Array("w".utf8), value: try bench.codec.encode(result)))
    }

    private func tasks(_ bench: PartitionBench) throws -> [AgentTask] {
        try bench.log.records(Topics.agentTasks).map {
            try bench.codec.read(AgentTask.self, $0)
        }
    }

    private func status(_ bench: PartitionBench, newerThan: UInt64? = nil) async throws -> WorkflowSnapshot {
        try await ClusterClient(handler: bench).grain(WorkflowGrain.self, key: "w").ask(
            GetStatus(), newerThan: newerThan
        )
        .value
    }

    @Test func aQueryForTheEndIsAnsweredThen() async throws {
        let bench = try bench()
        try start(bench, "summarize")
        try await bench.serve { bench in
            try await bench.idle()
            let workflow = try ClusterClient(handler: bench).grain(WorkflowGrain.self, key: "w")
            await expectCode(.deadlineExceeded) {
                _ = try await workflow.ask(GetStatus(untilFinished: true), deadline: .milliseconds(50))
            }
            async let end = workflow.ask(GetStatus(untilFinished: true))
            try await eventually("it waits") { bench.waitingQueries == 1 }
            try finish(bench, task: try tasks(bench)[0].taskId)
            #expect(try await end.value.status == .completed)
            #expect(try await workflow.ask(GetStatus(untilFinished: true)).value.status == .completed)
        }
    }

    @Test func theDocumentIsTheSnapshotAsJSON() async throws {
        let bench = try bench()
        try start(bench, "summarize")
        try await bench.serve { bench in
            try await bench.idle()
            let workflow = try ClusterClient(handler: bench).grain(WorkflowGrain.self, key: "w")
            let running = try await workflow.ask(GetDocument(untilFinished: false)).value
            #expect(String(decoding: running.bytes, as: UTF8.self).contains(#""status":"running","result":null"#))
            async let end = workflow.ask(GetDocument(untilFinished: true))
            try await eventually("it waits") { bench.waitingQueries == 1 }
            try finish(bench, task: try tasks(bench)[0].taskId)
            let document = try await end.value
            let snapshot = try await status(bench)
            #expect(document == JSONDocument(snapshot.json))
            #expect(String(decoding: document.bytes, as: UTF8.self).contains(#""status":"completed""#))
        }
    }

    @Test func runsItsStepsOneAfterTheOther() async throws {
        let bench = try bench()
        try start(bench, "two-steps")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await status(bench).status == .running)
            let first = try #require(try tasks(bench).first)
            #expect(
                (first.taskId, first.agent, first.input, first.traceParent) == ("w/0", "reader", "the text", "trace"))
            #expect(first.deadline == bench.clock.wall.advanced(by: .seconds(60)))
            try finish(bench, task: "w/0", output: "notes")
            try await bench.idle()
            let second = try #require(try tasks(bench).last)
            #expect((second.taskId, second.agent, second.input) == ("w/1", "writer", "notes"))
            try finish(bench, task: "w/1", output: "summary")
            try await bench.idle()
            let snapshot = try await status(bench)
            #expect(snapshot.status == .completed)
            #expect((snapshot.workflowId, snapshot.output, snapshot.model) == ("w", "summary", "local"))
            #expect(snapshot.functions.map(\.step) == [0, 1])
            #expect(snapshot.inputDigest == "digest")
        }
        #expect(try tasks(bench).count == 2)
    }

    @Test func repeatedAndStrayEventsHaveNoEffect() async throws {
        let bench = try bench()
        try finish(bench, task: "w/0", output: "before it began")
        try await bench.serve { bench in
            try await bench.idle()
            try start(bench, "two-steps")
            try start(bench, "two-steps")
            try await bench.idle()
            try finish(bench, task: "w/7", output: "another task")
            for _ in 0..<3 { try finish(bench, task: "w/0", output: "notes") }
            for _ in 0..<3 { try finish(bench, task: "w/1", output: "summary") }
            try start(bench, "summarize")
            try await bench.idle()
            #expect(try await status(bench).output == "summary")
        }
        #expect(try tasks(bench).map(\.taskId) == ["w/0", "w/1"])
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func anUnknownWorkflowFailsWithAClearError() async throws {
        let bench = try bench()
        try start(bench, "juggle")
        try await bench.serve { bench in
            try await bench.idle()
            let snapshot = try await status(bench)
            #expect(snapshot.status == .failed)
            #expect(snapshot.error == "no workflow is named \"juggle\" on this cluster")
        }
        #expect(try tasks(bench).isEmpty)
    }

    @Test func aFailedResultFailsTheWorkflow() async throws {
        let bench = try bench()
        try start(bench, "summarize")
        try await bench.serve { bench in
            try await bench.idle()
            try finish(bench, task: "w/0", outcome: .failed, error: "the model is on strike")
            try await bench.idle()
            let snapshot = try await status(bench)
            #expect((snapshot.status, snapshot.error, snapshot.output) == (.failed, "the model is on strike", nil))
        }
    }

    @Test func aMissedDeadlineFailsTheWorkflow() async throws {
        let bench = try bench()
        try start(bench, "two-steps")
        try await bench.serve { bench in
            try await bench.idle()
            bench.clock.advance(.seconds(61))
            try await eventually("the deadline has passed") { try await status(bench).status == .failed }
            #expect(try await status(bench).error?.contains("agent \"reader\" gave no result for task w/0") == true)
            try finish(bench, task: "w/0")
            try await bench.idle()
            #expect(try await status(bench).status == .failed, "a late result is dropped")
        }
    }

    @Test func cancelling() async throws {
        let bench = try bench()
        try start(bench, "summarize")
        try await bench.serve { bench in
            try await bench.idle()
            let workflow = try ClusterClient(handler: bench).grain(WorkflowGrain.self, key: "w")
            #expect(try await workflow.send(Cancel(reason: "no longer needed")).status == .cancelled)
            try finish(bench, task: "w/0")
            try await bench.idle()
            let snapshot = try await status(bench)
            #expect((snapshot.status, snapshot.error) == (.cancelled, "no longer needed"))
            let nobody = try ClusterClient(handler: bench).grain(WorkflowGrain.self, key: "nobody")
            await expectCode(.notFound) { _ = try await nobody.send(Cancel()) }
        }
    }

    @Test func finishedWorkflowsGoToTheirGraves() async throws {
        let bench = try bench()
        try start(bench, "summarize")
        try await bench.serve { bench in
            try await bench.idle()
            try finish(bench, task: "w/0")
            try await bench.idle()
            bench.clock.advance(.seconds(7 * 86_400 - 10))
            #expect(try await status(bench).status == .completed)
            bench.clock.advance(.seconds(20))
            let id = try GrainID(type: "workflow", key: "w")
            try await eventually("it is gone") { bench.committed(id)?.graveUntil != nil }
            // A repeated trigger within the window does not run it again.
            try start(bench, "summarize")
            try await bench.idle()
            #expect(bench.committed(id)?.state == nil)
        }
        #expect(try tasks(bench).count == 1)
    }

    @Test func aKeyThatIsNotTheWorkflowIsADeadLetter() async throws {
        let bench = try bench()
        try start(bench, "summarize", id: "w", key: "other")
        try await bench.serveUntilIdle()
        #expect(try bench.deadLetters.map(\.code) == ["invalidArgument"])
    }

    @Test func anOutputTooLargeToKeepFailsTheWorkflowAtOnce() async throws {
        let bench = try bench()
        try start(bench, "summarize")
        try await bench.serve { bench in
            try await bench.idle()
            try finish(bench, task: "w/0", output: String(repeating: "x", count: 1_100_000))
            try await bench.idle()
            let snapshot = try await status(bench)
            #expect(snapshot.status == .failed)
            #expect(snapshot.error?.contains("a workflow keeps at most") == true)
        }
    }

    @Test func badDefinitionsAreRefused() {
        for workflows: [WorkflowDefinition] in [
            [.summarize, .summarize], [WorkflowDefinition(name: "empty", steps: [])],
            [WorkflowDefinition(name: "hasty", steps: [.init(agent: "a", deadline: .zero)])],
        ] {
            let error = #expect(throws: OrchestraError.self) { try WorkflowCatalog(workflows, retention: .seconds(1)) }
            #expect(error?.code == .badConfiguration)
        }
    }
}
