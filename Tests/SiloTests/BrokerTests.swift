import Avro
import EventLog
import OrchestraCore
import Placement
import Records
import Silo
import Testing

/// The silo over a real broker and registry.
@Suite(.serialized, .timeLimit(.minutes(2))) struct BrokerTests {
    private func start(_ count: Int, from first: Int = 0, _ cluster: LocalCluster, partitions: Int32) async throws {
        let producer = try Producer(cluster.kafka, logger: cluster.logger)
        try await cluster.codec.register(WorkflowStartEvent.self, subject: "\(Topics.workflowStartEvents)-value")
        let partitioner = try Partitioner(partitionCount: partitions)
        let records = try (first..<first + count).map { number in
            let id = "workflow-\(number)"
            let event = WorkflowStartEvent(
                workflowId: id, workflow: "summarize", input: "text \(number)",
                acceptedAt: Timestamp(millisecondsSinceEpoch: 0))
            return ProducerRecord(
                topic: Topics.workflowStartEvents, partition: partitioner.partition(forKey: id), key: Array(id.utf8),
                value: try cluster.codec.encode(event))
        }
        for result in await producer.send(records) { _ = try result.get() }
        await producer.close(timeout: .seconds(5))
    }

    private func snapshot(
        _ silo: Silo, _ number: Int, newerThan: UInt64? = nil
    ) async throws -> (value: WorkflowSnapshot, version: UInt64) {
        try await ClusterClient(handler: silo).grain(WorkflowGrain.self, key: "workflow-\(number)")
            .ask(GetStatus(), deadline: .seconds(30), newerThan: newerThan)
    }

    private func expectCompleted(_ silo: Silo, _ numbers: Range<Int>) async throws {
        for number in numbers {
            var status = try await snapshot(silo, number)
            while !status.value.isFinished { status = try await snapshot(silo, number, newerThan: status.version) }
            #expect(status.value.status == .completed)
            #expect(status.value.output == "TEXT \(number)")
        }
    }

    @Test func workflowsRunToTheirEndAndSurviveARestart() async throws {
        try await LocalCluster.run { cluster in
            try await cluster.serve(cluster.silo()) { silo in
                #expect(silo.isReady)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await EchoAgent(cluster: cluster, partitionCount: 4).run() }
                    try await start(100, cluster, partitions: 4)
                    try await expectCompleted(silo, 0..<100)
                    group.cancelAll()
                }
                // Nobody works on these for now.
                try await start(20, from: 100, cluster, partitions: 4)
                #expect(try await snapshot(silo, 119).value.status == .running)
            }
            try await cluster.serve(cluster.silo(generation: 2)) { silo in
                try await expectCompleted(silo, 0..<100)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await EchoAgent(cluster: cluster, partitionCount: 4).run() }
                    try await expectCompleted(silo, 100..<120)
                    group.cancelAll()
                }
            }
        }
    }

    @Test func commandsAreAnsweredAndRepetitionsRecognised() async throws {
        try await LocalCluster.run { cluster in
            try await cluster.serve(cluster.silo(grains: [Counter.self])) { silo in
                let client = ClusterClient(handler: silo)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<50 {
                        group.addTask {
                            let counter = try client.grain(Counter.self, key: "counter-\(number % 10)")
                            _ = try await counter.send(Add(amount: 1), requestID: "r-\(number)")
                            _ = try await counter.send(Add(amount: 1), requestID: "r-\(number)")
                        }
                    }
                    try await group.waitForAll()
                }
                for number in 0..<10 {
                    let total = try await client.grain(Counter.self, key: "counter-\(number)").ask(Total()).value
                    #expect(total == 5)
                }
            }
        }
    }

    @Test func aWrongPartitionCountStopsTheStart() async throws {
        try await LocalCluster.run { cluster in
            try await cluster.serve(cluster.silo(partitionCount: 4)) { _ in }
            let other = try cluster.silo(partitionCount: 8)
            do {
                try await other.run()
                Issue.record("it ran")
            } catch let error as OrchestraError {
                #expect(error.code == .badConfiguration)
                #expect(error.message.contains("has 4 partitions, the cluster expects 8"))
            }
        }
    }

    @Test func manyWorkflowsAtOnce() async throws {
        try await LocalCluster.run { cluster in
            try await cluster.serve(cluster.silo(partitionCount: 16)) { silo in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await EchoAgent(cluster: cluster, partitionCount: 16).run() }
                    let begin = ContinuousClock.now
                    try await start(2_000, cluster, partitions: 16)
                    try await expectCompleted(silo, 0..<2_000)
                    let duration = ContinuousClock.now - begin
                    #expect(duration < .seconds(60), "2,000 workflows took \(duration)")
                    #expect(try await cluster.count(Topics.agentTasks, partitions: 16) == 2_000, "one task each")
                    group.cancelAll()
                }
            }
        }
    }
}
