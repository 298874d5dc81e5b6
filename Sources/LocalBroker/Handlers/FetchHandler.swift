import GRDB
import Logging
import Metrics
import NIOCore
import OrchestraCore

extension BrokerCore {
    /// Fetch: answers at once if there is enough to read, else when there is, or when the client's patience ends.
    func fetch(_ request: FetchRequest, _ context: RequestContext) {
        guard request.sessionID == 0 else {
            context.respond(FetchResponse(error: .fetchSessionIDNotFound))
            return
        }
        let plan = FetchPlan(request, core: self)
        if plan.isSatisfied(minimumBytes: Int(request.minimumBytes)) || request.maximumWaitMilliseconds <= 0 {
            answer(plan, request, context)
            return
        }
        let fetch = DelayedFetch(request, context, logs: plan.logs, core: self)
        fetch.start()
    }

    /// Sends what the plan found, reading from the database first what is not in memory.
    func answer(_ plan: FetchPlan, _ request: FetchRequest, _ context: RequestContext) {
        let coldReads = plan.coldReads
        guard !coldReads.isEmpty else {
            send(plan, cold: [], context)
            return
        }
        // Whoever has gone meanwhile needs no answer.
        guard let connection = context.connection else { return }
        let budget = plan.maximumBytes
        let reserved = min(budget, coldReads.reduce(0) { $0 + $1.maximumBytes })
        preparingBytes += reserved
        connection.beginColdRead()
        let bound = NIOLoopBound((self, plan, context), eventLoop: eventLoop)
        let removals = plan.abortedRemovals
        let eventLoop = eventLoop
        pool.asyncRead { database in
            let result = Result { try LogReader.read(coldReads, maximumBytes: budget, from: database.get()) }
            eventLoop.execute {
                let (core, plan, context) = bound.value
                core.preparingBytes -= reserved
                context.connection?.endColdRead()
                switch result {
                case .success where plan.abortedRemovals != removals:
                    // What has been read may belong to transactions that are no longer listed: read again.
                    core.answer(FetchPlan(request, core: core), request, context)
                case .success(let batches): core.send(plan, cold: batches, context)
                case .failure(let error):
                    core.logger.error("batches cannot be read", metadata: ["error": "\(error)"])
                    core.send(plan.failed(.kafkaStorageError), cold: [], context)
                }
            }
        }
    }

    private func send(_ plan: FetchPlan, cold: [[[UInt8]]], _ context: RequestContext) {
        let response = plan.response(cold: cold)
        var byteCount = 0
        for topic in response.topics {
            for partition in topic.partitions { byteCount += partition.records.byteCount + 64 }
        }
        metrics.fetchedBytes.increment(by: byteCount)
        context.respond(response, sizeHint: byteCount + 64)
    }
}

/// What a fetch may read at this moment.
struct FetchPlan {
    enum Source {
        case error(KafkaErrorCode)
        /// Nothing to read yet.
        case atEnd
        /// In memory.
        case tail
        case database
    }

    struct Partition {
        var request: FetchPartition
        var log: PartitionLog?
        var source: Source
        var upperBound: Int64 = -1
        var highWatermark: Int64 = -1
        var lastStableOffset: Int64 = -1
        var logStartOffset: Int64 = -1
    }

    private(set) var topics: [(name: String, partitions: [Partition])]
    let maximumBytes: Int
    let isReadCommitted: Bool

    init(_ request: FetchRequest, core: BrokerCore) {
        let limits = core.configuration.limits
        // While clients do not read what they asked for, they get their data in small pieces.
        let isCrowded = core.outboundBytes + core.preparingBytes > limits.maximumOutboundBytes
        let ceiling = isCrowded ? BrokerCore.largeAnswerBytes : limits.maximumFetchBytes
        maximumBytes = min(max(0, Int(request.maximumBytes)), ceiling)
        let isReadCommitted = request.isolationLevel == 1
        self.isReadCommitted = isReadCommitted
        topics = request.topics.map { topic in
            let existing = core.catalog.byName[topic.name]
            return (
                topic.name,
                topic.partitions.map { partition in
                    guard let logs = existing?.partitions, logs.indices.contains(Int(partition.index)) else {
                        return Partition(request: partition, log: nil, source: .error(.unknownTopicOrPartition))
                    }
                    return Self.plan(partition, logs[Int(partition.index)], isReadCommitted: isReadCommitted)
                }
            )
        }
    }

    private static func plan(_ request: FetchPartition, _ log: PartitionLog, isReadCommitted: Bool) -> Partition {
        var plan = Partition(
            request: request, log: log, source: .atEnd,
            upperBound: isReadCommitted ? log.lastStableOffset : log.highWatermark,
            highWatermark: log.highWatermark, lastStableOffset: log.lastStableOffset,
            logStartOffset: log.logStartOffset)
        let offset = request.fetchOffset
        if request.currentLeaderEpoch > RecordBatchHeader.leaderEpoch {
            plan.source = .error(.unknownLeaderEpoch)
        } else if offset < log.logStartOffset || offset > log.highWatermark {
            plan.source = .error(.offsetOutOfRange)
        } else if offset < plan.upperBound {
            plan.source = log.isInTail(offset) ? .tail : .database
        }
        return plan
    }

    var logs: [PartitionLog] { topics.flatMap { $0.partitions.compactMap(\.log) } }

    /// True if an answer now would be worth sending: an error, or `minimumBytes` of records.
    func isSatisfied(minimumBytes: Int) -> Bool {
        guard topics.contains(where: { !$0.partitions.isEmpty }) else { return true }
        var byteCount = 0
        for topic in topics {
            for partition in topic.partitions {
                switch partition.source {
                case .error, .database: return true
                case .atEnd: continue
                case .tail:
                    let batches = partition.log?.readTail(
                        from: partition.request.fetchOffset, upperBound: partition.upperBound,
                        maximumBytes: minimumBytes, allowsOversizedFirst: true)
                    byteCount += batches?.reduce(0) { $0 + $1.bytes.count } ?? 0
                }
                if byteCount >= minimumBytes { return true }
            }
        }
        return byteCount >= minimumBytes
    }

    /// Changes when a log that this fetch reads forgets aborted transactions.
    var abortedRemovals: Int { logs.reduce(0) { $0 + $1.ledger.abortedRemovals } }

    var coldReads: [LogReader.ColdRead] {
        topics.flatMap { topic in
            topic.partitions.compactMap { partition in
                guard case .database = partition.source, let log = partition.log else { return nil }
                return LogReader.ColdRead(
                    partitionID: log.id, offset: partition.request.fetchOffset, upperBound: partition.upperBound,
                    maximumBytes: Int(partition.request.maximumBytes))
            }
        }
    }

    func failed(_ error: KafkaErrorCode) -> FetchPlan {
        var failed = self
        for topic in failed.topics.indices {
            for partition in failed.topics[topic].partitions.indices {
                failed.topics[topic].partitions[partition].source = .error(error)
            }
        }
        return failed
    }

    /// - Parameter cold: the result of each of `coldReads`.
    func response(cold: [[[UInt8]]]) -> FetchResponse {
        var budget = maximumBytes - cold.reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } }
        var isEmpty = cold.allSatisfy(\.isEmpty)
        var nextCold = cold.makeIterator()
        var response = FetchResponse()
        for topic in topics {
            var result = FetchTopicResult(name: topic.name)
            for partition in topic.partitions {
                var batches: [[UInt8]] = []
                switch partition.source {
                case .database:
                    batches = nextCold.next() ?? []
                case .tail:
                    batches = readTail(partition, budget: budget, allowsOversizedFirst: isEmpty)
                    budget -= batches.reduce(0) { $0 + $1.count }
                    if !batches.isEmpty { isEmpty = false }
                case .error, .atEnd:
                    break
                }
                result.partitions.append(self.result(partition, batches))
            }
            response.topics.append(result)
        }
        return response
    }

    private func readTail(_ partition: Partition, budget: Int, allowsOversizedFirst: Bool) -> [[UInt8]] {
        guard let log = partition.log, log.isInTail(partition.request.fetchOffset) else { return [] }
        return log.readTail(
            from: partition.request.fetchOffset, upperBound: partition.upperBound,
            maximumBytes: min(budget, Int(partition.request.maximumBytes)), allowsOversizedFirst: allowsOversizedFirst
        ).map(\.bytes)
    }

    private func result(_ partition: Partition, _ batches: [[UInt8]]) -> FetchPartitionResult {
        var result = FetchPartitionResult(
            index: partition.request.index, highWatermark: partition.highWatermark,
            lastStableOffset: partition.lastStableOffset, logStartOffset: partition.logStartOffset,
            records: .batches(batches))
        if case .error(let error) = partition.source {
            result.error = error
            result.highWatermark = -1
            result.lastStableOffset = -1
            result.logStartOffset = -1
        } else if isReadCommitted {
            result.abortedTransactions = abortedTransactions(partition, batches)
        }
        return result
    }

    private func abortedTransactions(_ partition: Partition, _ batches: [[UInt8]]) -> [FetchAbortedTransaction] {
        guard let last = batches.last, let header = last.withUnsafeBytes({ RecordBatchHeader($0) }) else { return [] }
        let aborted = partition.log?.ledger.abortedTransactions(
            fetchOffset: partition.request.fetchOffset, upperBound: header.lastOffset + 1)
        return (aborted ?? []).map {
            FetchAbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset)
        }
    }
}

/// A fetch that waits: in the logs that it reads from, and in its connection.
final class DelayedFetch {
    private let request: FetchRequest
    private let context: RequestContext
    private let logs: [PartitionLog]
    private unowned let core: BrokerCore
    private var timer: Scheduled<Void>?
    private var isDone = false
    private var hasProgress = false

    init(_ request: FetchRequest, _ context: RequestContext, logs: [PartitionLog], core: BrokerCore) {
        self.request = request
        self.context = context
        self.logs = logs
        self.core = core
    }

    func start() {
        let id = ObjectIdentifier(self)
        for log in logs { log.waiters[id] = self }
        context.connection?.delayedFetches[id] = self
        // A long poll beyond the idle limit would look like a dead connection.
        let longest = core.configuration.limits.idleTimeout.wholeMilliseconds / 2
        let wait = min(Int64(request.maximumWaitMilliseconds), longest)
        timer = core.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(wait)) { [weak self] in
            self?.finish()
        }
    }

    /// A log has grown; others may follow in the same commit.
    func onProgress() {
        guard !hasProgress, !isDone else { return }
        hasProgress = true
        core.noteProgress(self)
    }

    /// Answers if there is enough now.
    func retry() {
        hasProgress = false
        guard !isDone else { return }
        let plan = FetchPlan(request, core: core)
        guard plan.isSatisfied(minimumBytes: Int(request.minimumBytes)) else { return }
        abandon()
        core.answer(plan, request, context)
    }

    private func finish() {
        guard !isDone else { return }
        abandon()
        core.answer(FetchPlan(request, core: core), request, context)
    }

    /// Forgets the fetch without an answer.
    func abandon() {
        guard !isDone else { return }
        isDone = true
        timer?.cancel()
        let id = ObjectIdentifier(self)
        for log in logs { log.waiters[id] = nil }
        context.connection?.delayedFetches[id] = nil
    }
}
