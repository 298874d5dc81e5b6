import EventLog
import OrchestraCore
import Placement
import Records
import SeededRandom
import Testing

@testable import Silo

/// The core without tasks, clocks or Kafka: random batches, random aborts, random restores, against a model that is
/// a dictionary of numbers.
///
/// After every batch that committed, what a restore of the produced records gives must equal the state in memory, and
/// both must equal the model; a batch that did not commit must have changed nothing.
@Suite(.timeLimit(.minutes(2))) struct PartitionModelTests {
    /// What a counter should be.
    private struct Expected: Equatable {
        var total = 0
        var timer: Timestamp?
        var isGrave = false
    }

    private struct Simulation {
        var random: SeededGenerator
        let codec = TestCodec()
        let catalog: GrainCatalog
        let origin: BatchOrigin
        let preparation: RecordPreparation
        var state: PartitionState
        var model: [String: Expected] = [:]
        var replies: [String: Int] = [:]
        var changelog: [ProducerRecord] = []
        var now = Timestamp(millisecondsSinceEpoch: 1_000_000)
        var offset: Int64 = 0
        var lastVersions: [GrainID: UInt64] = [:]
        let keys = ["a", "b", "c", "d", "e"]

        init(seed: UInt64) throws {
            random = SeededGenerator(seed: seed)
            var limits = GrainLimits()
            limits.maximumLiveGrains = 4
            limits.openRequests = 3
            catalog = try GrainCatalog(
                [Counter.self], codec: codec, limits: limits, workflows: try WorkflowCatalog([], retention: .zero))
            let partitioner = try Partitioner(partitionCount: 1)
            origin = BatchOrigin(
                partition: 0, partitioner: partitioner, nodeID: "n", limits: limits, codec: codec)
            preparation = RecordPreparation(catalog: catalog, partitioner: partitioner, partition: 0, codec: codec)
            state = PartitionState(knownTypes: [Counter.type], limits: limits)
        }

        mutating func run(steps: Int) async throws {
            for _ in 0..<steps {
                await Task.yield()
                now = now.advanced(by: .milliseconds(Int64.random(in: 0...20_000, using: &random)))
                try runBatch()
                try compareWithModel()
                if Int.random(in: 0..<6, using: &random) == 0 { try restore() }
            }
        }

        private mutating func runBatch() throws {
            var batch = Batch()
            var next = model
            var nextReplies = replies
            batch.timers = state.takeDueTimers(at: now, limit: 100)
            for timer in batch.timers { expect(timer, &next) }
            var inputs = batch.timers.map {
                TurnInput(source: .timer($0), grain: $0.grain, handler: .timer($0.name ?? ""), payload: .timer)
            }
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let key = keys.randomElement(using: &random)!
                let input =
                    Bool.random(using: &random)
                    ? try event(key, &batch, &next) : try call(key, &batch, &next, &nextReplies)
                inputs.append(input)
            }
            let before = state.grains.count
            var prepared = PreparedBatch()
            prepared.inputs = inputs
            let output = try execute(prepared, batch)
            guard let transaction = output.transaction else {
                // Nothing to commit, so nothing may have been expected to change, and no timer was due in earnest.
                state.reinstate(batch.timers)
                return try requireEqual(next, model, "a batch without a transaction changes nothing")
            }
            guard Int.random(in: 0..<4, using: &random) > 0 else {
                state.reinstate(batch.timers)
                return try requireEqual(before, state.grains.count, "an aborted batch changes nothing")
            }
            changelog += transaction.records.filter { $0.topic == Topics.state }
            state.apply(output.commits, progress: output.progress, fired: batch.timers)
            (model, replies) = (next, nextReplies)
            for (call, reply) in output.replies {
                let value = try MessageCoding.decode(Int.self, from: reply)
                try requireEqual(value, nextReplies[call.request.requestID], "the reply of \(call.request.requestID)")
            }
        }

        private mutating func execute(_ prepared: PreparedBatch, _ batch: Batch) throws -> BatchOutput {
            let sequence = state.sequence + 1
            var finished: [GrainJob] = []
            for group in prepared.grouped() {
                var job = GrainJob(
                    grain: group.grain, kind: catalog.kinds[group.grain.type]!, committed: state.grains[group.grain],
                    sealed: state.sealedRequests[group.grain] ?? [], live: state.liveGrain(group.grain),
                    inputs: group.inputs, now: now, sequence: sequence,
                    retries: RetryPolicy())
                try requireEqual(job.runImmediately(), true, "the counter's handlers do not suspend")
                finished.append(job)
            }
            return try BatchOutput(
                jobs: finished, direct: [], consumed: batch.recordCount,
                positions: batch.positions(from: state.progress?.nextOffsets ?? [:]), sequence: sequence, now: now,
                origin: origin)
        }

        private func expect(_ timer: TimerEntry, _ next: inout [String: Expected]) {
            let key = timer.grain.key
            guard timer.name != nil else {
                next[key] = nil
                return
            }
            next[key, default: Expected()].timer = nil
            next[key, default: Expected()].total += 1_000
        }

        private mutating func event(
            _ key: String, _ batch: inout Batch, _ next: inout [String: Expected]
        ) throws -> TurnInput {
            let number = Int.random(in: 1...9, using: &random)
            let text: String
            var expected = next[key] ?? Expected()
            switch Int.random(in: 0..<5, using: &random) {
            case 0:
                text = "complete"
                expected = Expected(isGrave: true)
            case 1:
                text = "ring \(number * 1_000)"
                expected.timer = now.advanced(by: .seconds(number))
                expected.isGrave = false
            case 2:
                text = "silence"
                expected.timer = nil
            default:
                text = "add \(number)"
                expected.total += number
                expected.isGrave = false
            }
            // A turn that leaves nothing behind where nothing was makes no grain; one on a grave leaves the grave.
            next[key] = expected == Expected() && next[key] == nil ? nil : expected
            let record = ConsumedRecord(
                topicPartition: TopicPartition(topic: "orders", partition: 0), offset: offset, timestamp: now,
                key: Array(key.utf8), value: try codec.encode(order(text, key: key)))
            offset += 1
            batch.events.append(.record(record))
            guard case .turns(let inputs) = preparation.prepare(record), let input = inputs.first else {
                throw TimedOut(description: "an order became no turn")
            }
            return input
        }

        private mutating func call(
            _ key: String, _ batch: inout Batch, _ next: inout [String: Expected], _ replies: inout [String: Int]
        ) throws -> TurnInput {
            let number = Int.random(in: 1...9, using: &random)
            // Few ids, so that many are repetitions. An id belongs to a key.
            let id = "\(key)-\(Int.random(in: 0..<40, using: &random))"
            if replies[id] == nil {
                var expected = next[key] ?? Expected()
                expected.total += number
                expected.isGrave = false
                next[key] = expected
                replies[id] = expected.total
            }
            let request = GrainCallRequest(
                requestID: id, grain: try GrainID(type: Counter.type, key: key), kind: .command, method: "Add",
                payload: try MessageCoding.encode(Add(amount: number)), timeLeft: .seconds(1))
            let pending = PendingCall(request, deadline: .now.advanced(by: .seconds(60)))
            batch.calls.append(pending)
            return TurnInput(
                source: .call(pending), grain: request.grain, handler: .command("Add"),
                payload: .command(request.payload))
        }

        private mutating func restore() throws {
            var restored = PartitionState(knownTypes: [Counter.type], limits: origin.limits)
            for record in changelog {
                switch ChangelogKey(record.key ?? []) {
                case .progress: restored.restore(.progress(try codec.read(PartitionProgress.self, record)))
                case .grain(let grain):
                    let value = try record.value.map {
                        CommittedGrain.readable(try codec.read(GrainStateRecord.self, $0))
                    }
                    restored.restore(.grain(grain, value))
                case .requests(let grain, let sequence):
                    let chunk = try record.value.map {
                        RequestChunk(sequence: sequence, try codec.read(SealedRequests.self, $0))
                    }
                    restored.restore(.requests(grain, sequence: sequence, chunk))
                default: throw TimedOut(description: "an unexpected key")
                }
            }
            restored.finishRestore()
            try requireEqual(records(restored), records(state), "a restore gives the committed state")
            try requireEqual(requests(restored), requests(state), "the requests that are remembered")
            try requireEqual(restored.stateBytes, state.stateBytes, "its size")
            try requireEqual(restored.progress, state.progress, "its progress")
            state = restored
        }

        private func records(_ state: PartitionState) -> [GrainID: GrainStateRecord] {
            state.grains.compactMapValues { if case .readable(let record) = $0 { record } else { nil } }
        }

        private func requests(_ state: PartitionState) -> [GrainID: [[RecordedRequest]]] {
            state.sealedRequests.mapValues { $0.map(\.requests) }
        }

        private mutating func compareWithModel() throws {
            for key in keys {
                let id = try GrainID(type: Counter.type, key: key)
                let record = records(state)[id]
                let expected = model[key]
                guard let expected, !expected.isGrave else {
                    try requireEqual(record?.state == nil, true, "\(key) has no state")
                    try requireEqual(record?.graveUntil != nil, expected?.isGrave ?? false, "\(key) has a grave or not")
                    continue
                }
                let encoded = try record.flatMap { try EncodedState($0) }
                let grain = try encoded.flatMap { try StateFormat<Counter>.json.decode($0, codec) }
                try requireEqual(grain?.total, expected.total, "the total of \(key)")
                try requireEqual(record?.timers.first?.dueAt, expected.timer, "the timer of \(key)")
                let version = state.version(of: id)
                try requireEqual(version >= lastVersions[id] ?? 0, true, "the version of \(key) does not go back")
                lastVersions[id] = version
            }
        }

        private func requireEqual<Value: Equatable>(_ actual: Value, _ expected: Value, _ what: String) throws {
            guard actual != expected else { return }
            throw TimedOut(description: "\(what): \(actual) instead of \(expected)")
        }
    }

    @Test(arguments: 1...20)
    func committedStateEqualsTheModelAndTheRestore(seed: Int) async throws {
        var simulation = try Simulation(seed: UInt64(seed))
        do {
            try await simulation.run(steps: 60)
        } catch {
            Issue.record("seed \(seed): \(error)")
        }
    }

    /// A silo that knows the type fires them, later.
    @Test func timersOfUnknownGrainTypesStayWhereTheyAre() throws {
        let due = Timestamp(millisecondsSinceEpoch: 1_000)
        var state = PartitionState(knownTypes: [Counter.type], limits: GrainLimits())
        for type: GrainType in ["counter", "stranger"] {
            let record = GrainStateRecord(
                version: 1, committedAt: due, codec: .json, state: [], timers: [GrainTimer(name: "x", dueAt: due)])
            state.restore(.grain(try GrainID(type: type, key: "a"), .readable(record)))
        }
        state.finishRestore()
        #expect(state.takeDueTimers(at: due, limit: 10).map(\.grain.type) == [Counter.type])
        #expect(state.timers.nextDue == nil)
        #expect(state.grains.count == 2)
    }
}
