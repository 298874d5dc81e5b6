import EventLog
import Logging
import OrchestraCore
import Placement
import Records
import Synchronization
import Testing

@testable import Silo

/// Time that tests move by hand: the wall clock and the monotonic clock.
final class TestClock: Sendable {
    private let wallTime = Mutex(Timestamp(millisecondsSinceEpoch: 1_700_000_000_000))
    private let offset = Mutex(Duration.zero)

    /// Moves both clocks.
    func advance(_ duration: Duration) {
        wallTime.withLock { $0 = $0.advanced(by: duration) }
        offset.withLock { $0 += duration }
    }

    /// Sets the wall clock back.
    func turnBack(_ duration: Duration) { wallTime.withLock { $0 = $0.advanced(by: .zero - duration) } }

    var wall: Timestamp { wallTime.withLock { $0 } }
    /// Real time goes on underneath, so that waits in real time end.
    var monotonic: ContinuousClock.Instant { ContinuousClock.now.advanced(by: offset.withLock { $0 }) }
    var clocks: Clocks { Clocks(wall: { self.wall }, monotonic: { self.monotonic }) }
}

/// One partition runtime over a log in memory.
final class PartitionBench: Sendable {
    let log: MemoryLog
    let codec: TestCodec
    let clock: TestClock
    let runtime: PartitionRuntime
    let partitioner: Partitioner
    let partition: Int32
    let budget: StateBudget
    let attention = Attention()

    init(
        log: MemoryLog = MemoryLog(), codec: TestCodec = TestCodec(), clock: TestClock = TestClock(),
        grains: [any Grain.Type] = [Counter.self], partitionCount: Int32 = 1, partition: Int32 = 0,
        nodeID: String = "silo-1", lane: TransactionLane? = nil, generation: Int64 = 1,
        succession: TestSuccession? = nil, lease: ServingLease? = nil, isNominated: Bool = true,
        workflows: [WorkflowDefinition] = [.summarize], calls: TestCalls = TestCalls(),
        pace: RestorePace? = nil, _ configure: (inout GrainLimits) -> Void = { _ in }
    ) throws {
        (self.log, self.codec, self.clock, self.partition) = (log, codec, clock, partition)
        var limits = GrainLimits()
        configure(&limits)
        partitioner = try Partitioner(partitionCount: partitionCount)
        budget = StateBudget(limit: limits.maximumSiloStateBytes)
        let catalog = try GrainCatalog(
            grains, codec: codec, limits: limits,
            workflows: try WorkflowCatalog(workflows, retention: .seconds(7 * 86_400)))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let context = PartitionContext(
            catalog: catalog,
            origin: BatchOrigin(
                partition: partition, partitioner: partitioner, nodeID: nodeID, limits: limits,
                codec: codec),
            generation: generation, transactionalID: nodeID, retries: RetryPolicy(),
            succession: succession ?? log.fencingSuccession, calls: calls,
            lease: lease ?? ServingLease(clocks: clock.clocks, isPermanent: true), budget: budget,
            metrics: SiloMetrics(),
            clocks: clock.clocks, attention: attention, tombstoneRetention: Topics.tombstoneRetention,
            restoreGate: Gate(limit: 1), restorePace: pace, logger: logger)
        runtime = PartitionRuntime(
            partition: partition, context: context, log: log.view(of: partition, as: nodeID, lane: lane))
        calls.add(runtime, of: partition, partitioner)
        if isNominated { runtime.nominate() }
    }

    /// Serves the partition while `body` runs, ticking it all the while, and drains it afterwards.
    func serve(_ body: (PartitionBench) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.runtime.run() }
            group.addTask {
                while !Task.isCancelled {
                    self.runtime.tick(at: self.clock.monotonic)
                    self.runtime.context.lease.tick()
                    try? await Task.sleep(for: .milliseconds(2))
                }
            }
            do {
                try await body(self)
            } catch {
                runtime.drain()
                group.cancelAll()
                throw error
            }
            runtime.drain()
            _ = try await group.next()
            group.cancelAll()
        }
    }

    /// Serves until everything in the inputs has been taken in.
    func serveUntilIdle() async throws {
        try await serve { try await $0.idle() }
    }

    func idle() async throws {
        try await eventually("the inputs of partition \(partition) are taken in") {
            // The state is told before the service has begun.
            self.lag.isEmpty && self.runtime.lifecycleState == .serving
                && self.runtime.shared.withLock { $0.isServing }
        }
    }

    /// The topics that have not been taken in to their ends.
    private var lag: [String] {
        let takenIn = runtime.shared.withLock { $0.takenIn }
        return runtime.context.catalog.inputTopics.filter { topic in
            let end = log.records(topic).isEmpty && takenIn[topic] == nil ? 0 : endOffset(topic)
            return (takenIn[topic] ?? -1) < end
        }
    }

    func endOffset(_ topic: String) -> Int64 {
        log.end(TopicPartition(topic: topic, partition: partition))
    }

    @discardableResult
    func send(_ event: AgentTask, key: String, to topic: String = "orders", partition: Int32? = nil) throws -> Int64 {
        log.append(
            ProducerRecord(
                topic: topic, partition: partition ?? partitioner.partition(forKey: key), key: Array(key.utf8),
                value: try codec.encode(event)))
    }

    @discardableResult
    func order(_ text: String, key: String) throws -> Int64 { try send(SiloTests.order(text, key: key), key: key) }

    func grain(_ key: String) throws -> GrainReference<Counter> {
        try ClusterClient(handler: self).grain(Counter.self, key: key)
    }

    func total(_ key: String) async throws -> Int { try await grain(key).ask(Total()).value }

    /// The partition's committed state, as a restore of its changelog gives it.
    func committed(_ grain: GrainID) -> GrainStateRecord? {
        runtime.shared.withLock { shared in
            if case .readable(let record) = shared.state.grains[grain] { record } else { nil }
        }
    }

    var queuedCalls: Int { runtime.shared.withLock { $0.mailbox.count } }
    var waitingQueries: Int { runtime.shared.withLock { $0.waiters.count } }
    var queuedRecords: Int { runtime.shared.withLock { $0.events.count } }
    var isOverBudget: Bool { runtime.shared.withLock { $0.isOverBudget } }

    var deadLetters: [DeadLetter] {
        get throws {
            try log.records(Topics.deadLetters).map { record in
                try codec.read(DeadLetter.self, record)
            }
        }
    }
}

extension PartitionBench: GrainCallHandler {
    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        try await runtime.handle(request)
    }
}

/// Brings the calls of turns to the partitions of a test.
final class TestCalls: GrainCallHandler {
    typealias Hook = @Sendable (GrainCallRequest) async throws(OrchestraError) -> Void
    private let runtimes = Mutex<[Int32: PartitionRuntime]>([:])
    private let partitioner = Mutex<Partitioner?>(nil)
    private let hook = Mutex<Hook?>(nil)

    func add(_ runtime: PartitionRuntime, of partition: Int32, _ partitioner: Partitioner) {
        runtimes.withLock { $0[partition] = runtime }
        self.partitioner.withLock { $0 = partitioner }
    }

    /// Runs before each call: it may delay it, or fail it.
    func before(_ hook: @escaping Hook) { self.hook.withLock { $0 = hook } }

    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        try await hook.withLock { $0 }?(request)
        let partition = partitioner.withLock { $0?.partition(of: request.grain) } ?? 0
        guard let runtime = runtimes.withLock({ $0[partition] }) else {
            throw OrchestraError(.unavailable, "nobody owns partition \(partition)")
        }
        return try await runtime.handle(request)
    }
}

struct TimedOut: Error, CustomStringConvertible {
    var description: String
}

/// Waits until a condition holds.
func eventually(
    _ what: String, within limit: Duration = .seconds(10), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now.advanced(by: limit)
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(2))
    }
    throw TimedOut(description: "not within \(limit): \(what)")
}

/// The code of the error that a call fails with; `nil` if it succeeds.
func code(_ body: () async throws -> Void) async -> OrchestraError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? OrchestraError)?.code ?? .internalError
    }
}

/// Expects a call to fail with an error of this code.
func expectCode(
    _ expected: OrchestraError.Code, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async {
    let actual = await code(body)
    #expect(actual == expected, comment, sourceLocation: sourceLocation)
}

/// A value that several tasks of a test use.
final class Locked<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) { mutex = Mutex(value) }

    var value: Value { mutex.withLock { $0 } }

    func use<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        mutex.withLock { body(&$0) }
    }
}
