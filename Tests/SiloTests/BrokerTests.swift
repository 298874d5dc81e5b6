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

    /// The first finds its producer fenced, sees who has claimed its partitions, and gives up.
    @Test func anOtherSiloTakesOverAndTheFirstStops() async throws {
        try await LocalCluster.run { cluster in
            let first = try cluster.silo("silo-1", grains: [Counter.self], partitionCount: 2)
            let second = try cluster.silo("silo-2", grains: [Counter.self], partitionCount: 2)
            try await withThrowingTaskGroup(of: Void.self) { (tasks: inout ThrowingTaskGroup<Void, any Error>) in
                tasks.addTask { try await first.run() }
                await first.waitUntilReady()
                let client = ClusterClient(handler: first)
                for number in 0..<10 {
                    _ = try await client.grain(Counter.self, key: "k\(number)").send(Add(amount: 1))
                }
                try await cluster.serve(second) { second in
                    await expectCode(.outcomeUnknown) {
                        _ = try await client.grain(Counter.self, key: "k0").send(Add(amount: 1), deadline: .seconds(20))
                    }
                    let other = ClusterClient(handler: second)
                    for number in 0..<10 {
                        #expect(try await other.grain(Counter.self, key: "k\(number)").ask(Total()).value == 1)
                    }
                    try await eventually("the first gives its partitions up, and ends") {
                        first.partitionStates.allSatisfy { $0 == .stopped }
                    }
                }
                try await tasks.waitForAll()
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

    /// Silos that take over from each other while events arrive: every predecessor is a zombie that goes on until it
    /// finds itself fenced.
    @Test func takingOverUnderLoadLosesAndRepeatsNothing() async throws {
        try await LocalCluster.run { cluster in try await takeOver(rounds: 4, keys: 12, count: 600, cluster) }
    }

    private func takeOver(rounds: Int, keys: Int, count: Int, _ cluster: LocalCluster) async throws {
        try await cluster.codec.register(AgentTask.self, subject: "orders-value")
        let silos: [Silo] = try (1...rounds).map { round in
            try cluster.silo("silo-\(round)", grains: [Counter.self], partitionCount: 2)
        }
        try await withThrowingTaskGroup(of: Void.self) { (tasks: inout ThrowingTaskGroup<Void, any Error>) in
            for (round, silo) in silos.enumerated() {
                tasks.addTask { try await silo.run() }
                await silo.waitUntilReady()
                if round == 0 { tasks.addTask { try await sendReceipts(count, keys: keys, cluster) } }
                // The next takes over when this one has done its share; the last does all that is left.
                let goal: Int = round == rounds - 1 ? count : count * (round + 1) / (rounds + 1)
                try await eventually("\(goal) events have had their effect", within: .seconds(30)) {
                    await total(keys, silo) >= goal
                }
            }
            tasks.cancelAll()
        }
        let published: Int = try await self.count("receipts", cluster, partitions: 2)
        #expect(published == count, "each event has been taken in and published once")
    }

    private func sendReceipts(_ count: Int, keys: Int, _ cluster: LocalCluster) async throws {
        let partitioner = try Partitioner(partitionCount: 2)
        let producer = try Producer(cluster.kafka, logger: cluster.logger)
        for number in 0..<count {
            let key = "k\(number % keys)"
            _ = try await producer.send(
                ProducerRecord(
                    topic: "orders", partition: partitioner.partition(forKey: key), key: Array(key.utf8),
                    value: try cluster.codec.encode(order("receipt 1", key: key))))
        }
        await producer.close(timeout: .seconds(5))
    }

    private func total(_ keys: Int, _ silo: Silo) async -> Int {
        var total = 0
        for key in 0..<keys { total += await self.total(of: "k\(key)", silo) }
        return total
    }

    /// 0 for a counter that has not begun.
    private func total(of key: String, _ silo: Silo) async -> Int {
        let counter = try? ClusterClient(handler: silo).grain(Counter.self, key: key)
        let answer = try? await counter?.ask(Total())
        return answer?.value ?? 0
    }

    /// How many committed records a topic holds.
    private func count(_ topic: String, _ cluster: LocalCluster, partitions: Int32) async throws -> Int {
        let consumer = try PartitionConsumer(cluster.kafka, isolation: .readCommitted, logger: cluster.logger)
        var open = Set((0..<partitions).map { TopicPartition(topic: topic, partition: $0) })
        let intake = try await consumer.open(Dictionary(uniqueKeysWithValues: open.map { ($0, .beginning) }))
        var count = 0
        while !open.isEmpty {
            for event in try await intake.next(maximumRecords: 1_000) {
                switch event {
                case .record: count += 1
                case .endOfPartition(let place, _): open.remove(place)
                }
            }
        }
        await intake.close()
        await consumer.close()
        return count
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
                    #expect(try await count(Topics.agentTasks, cluster, partitions: 16) == 2_000, "one task each")
                    group.cancelAll()
                }
            }
        }
    }
}
