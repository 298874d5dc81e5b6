import GRDB
import Logging
import NIOCore
import OrchestraCore

/// What there is to do now, as decided on the event loop.
struct MaintenancePlan: Sendable {
    var retentions: [Retention] = []
    var compactions: [CompactionRound] = []
    /// A burst of work has just come to its end.
    var isQuiet = false
}

// Old data. From time to time the event loop decides which logs to look at; the looking, and the deleting of rows that
// nobody can reach any more, happens here, in small transactions between those of the clients. A log's start is raised
// through the committer, before its rows go.
//
/// The broker's background work, one step at a time.
struct Maintenance: Sendable {
    let core: NIOLoopBound<BrokerCore>
    let eventLoop: any EventLoop
    let pool: DatabasePool
    let interval: Duration
    let logger: Logger

    /// Works until cancelled. A step that fails is logged and tried again in the next round.
    func run() async {
        while !Task.isCancelled {
            do {
                try await round()
            } catch is CancellationError {
                return
            } catch {
                logger.error("maintenance failed; it will be tried again", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: interval)
        }
    }

    private func round() async throws {
        let plan = try await eventLoop.submit { [core] in core.value.planMaintenance() }.get()
        try await collectGarbage()
        for retention in plan.retentions {
            try Task.checkCancellation()
            try await apply(retention)
        }
        for compaction in plan.compactions {
            try Task.checkCancellation()
            let outcome = try await compaction.run(in: pool)
            let durable = eventLoop.makePromise(of: Void.self)
            eventLoop.execute { [core] in core.value.finish(compaction, outcome) { durable.succeed() } }
            try await wait(for: durable)
            try await CompactionRound.delete(rows: Array(outcome.retiredMarkers.values), in: pool)
        }
        // A burst of work leaves SQLite's page caches full.
        if plan.isQuiet { pool.releaseMemory() }
    }

    private func apply(_ retention: Retention) async throws {
        let outcome = try await pool.read { try retention.find(in: $0) }
        let durable = eventLoop.makePromise(of: Void.self)
        eventLoop.execute { [core] in core.value.finish(retention, outcome) { durable.succeed() } }
        try await wait(for: durable)
        if outcome.hasGarbage {
            try await Retention.deleteBatches(of: retention.partitionID, before: outcome.logStartOffset, in: pool)
        }
        eventLoop.execute { [core] in
            guard let (_, log) = core.value.catalog.find(partitionID: retention.partitionID),
                log.logStartOffset == outcome.logStartOffset
            else { return }
            log.hasGarbage = false
        }
    }

    /// Waits for a commit. One that failed is never told of; but then the broker stops, and cancels this task.
    private func wait(for durable: EventLoopPromise<Void>) async throws {
        try await withTaskCancellationHandler {
            try await durable.futureResult.get()
        } onCancel: {
            durable.fail(CancellationError())
        }
    }

    /// Deletes what deleted topics have left.
    private func collectGarbage() async throws {
        let partitionIDs = try await pool.read { database in
            try Int64.fetchAll(database, sql: "SELECT partition_id FROM garbage LIMIT 1000")
        }
        for partitionID in partitionIDs {
            try await Retention.deleteBatches(of: partitionID, before: .max, in: pool)
            try await pool.write { database in
                try database.execute(sql: "DELETE FROM garbage WHERE partition_id = ?", arguments: [partitionID])
            }
        }
    }
}

extension BrokerCore {
    private static let busyRoundBytes = 1 << 20
    private static let recheckMilliseconds: Int64 = 60_000
    /// `producer.id.expiration.ms`.
    private static let producerRetention = Duration.seconds(86_400)

    /// Which logs maintenance should look at.
    func planMaintenance() -> MaintenancePlan {
        closeIdleConnections()
        let now = now
        // Records carry the time of the wall clock, and so must what is compared with them.
        let recordTime = Self.wallClock().millisecondsSinceEpoch
        var plan = MaintenancePlan()
        let isBusy = appendedBytesInRound >= Self.busyRoundBytes
        plan.isQuiet = wasBusy && !isBusy
        wasBusy = isBusy
        appendedBytesInRound = 0
        let horizon = producerHorizon(now)
        for topic in catalog.byName.values {
            for log in topic.partitions where log.nextOffset > 0 {
                expireProducers(log, idleSince: horizon)
                plan.retentions += retention(log, topic.configuration, recordTime)
                plan.compactions += compaction(log, topic.configuration, recordTime)
            }
        }
        return plan
    }

    /// Since when a producer must have been silent to be forgotten: for a day, or less if there are too many of them.
    private func producerHorizon(_ now: Timestamp) -> Timestamp {
        let horizon = now.advanced(by: .zero - Self.producerRetention)
        let topics = catalog.byName.values
        let count = topics.reduce(0) { $1.partitions.reduce($0) { $0 + $1.ledger.producers.count } }
        let excess = count - configuration.limits.maximumProducers
        guard excess > 0 else { return horizon }
        let idleSince = topics.flatMap { $0.partitions.flatMap(\.ledger.idleSince) }.sorted()
        guard let last = idleSince.prefix(excess).last else { return horizon }
        logger.warning(
            "too many producer ids; those that were silent longest are forgotten",
            metadata: ["forgotten": "\(min(excess, idleSince.count))"])
        return max(horizon, last)
    }

    private func expireProducers(_ log: PartitionLog, idleSince horizon: Timestamp) {
        guard !log.ledger.producers.isEmpty else { return }
        let count = log.ledger.producers.count
        log.ledger.expire(idleSince: horizon)
        if log.ledger.producers.count != count { committer.append(nil, to: log) }
    }

    private func retention(_ log: PartitionLog, _ configuration: TopicConfiguration, _ now: Int64) -> [Retention] {
        let mayExpire = configuration.deletesOldBatches && log.logStartOffset < log.lastStableOffset
        let isTimeDue = mayExpire && now >= log.nextRetentionCheck
        let isSizeDue = mayExpire && configuration.retentionBytes >= 0 && log.measuredAtBytes != log.appendedBytes
        guard isTimeDue || isSizeDue || log.hasGarbage else { return [] }
        log.measuredAtBytes = log.appendedBytes
        return [
            Retention(
                partitionID: log.id, logStartOffset: log.logStartOffset, upperBound: log.lastStableOffset,
                oldestTimestamp: mayExpire && configuration.retentionMilliseconds >= 0
                    ? now - configuration.retentionMilliseconds : nil,
                maximumBytes: mayExpire && configuration.retentionBytes >= 0 ? configuration.retentionBytes : nil)
        ]
    }

    private func compaction(
        _ log: PartitionLog, _ configuration: TopicConfiguration, _ now: Int64
    ) -> [CompactionRound] {
        guard configuration.isCompacted, log.lastStableOffset > log.compactedOffset || log.nextDeleteHorizon != nil,
            isCompactionDue(log, configuration, now)
        else { return [] }
        return [
            CompactionRound(
                partitionID: log.id, logStartOffset: log.logStartOffset, compactedOffset: log.compactedOffset,
                upperBound: log.lastStableOffset,
                newestTimestamp: configuration.minimumCompactionLagMilliseconds == 0
                    ? .max : now - min(now, configuration.minimumCompactionLagMilliseconds),
                minimumCleanableRatio: configuration.minimumCleanableRatio,
                deleteRetention: configuration.deleteRetentionMilliseconds,
                aborted: log.ledger.abortedTransactions(fetchOffset: 0, upperBound: log.lastStableOffset), now: now,
                appendedBytes: log.appendedBytes)
        ]
    }

    private func isCompactionDue(_ log: PartitionLog, _ configuration: TopicConfiguration, _ now: Int64) -> Bool {
        guard let clean = log.compactedBytes, let dirty = log.uncompactedBytes else { return true }
        if let horizon = log.nextDeleteHorizon, horizon <= now { return true }
        guard now >= log.nextCompactionCheck else { return false }
        return dirty > 0 && Double(dirty) >= configuration.minimumCleanableRatio * Double(clean + dirty)
    }

    /// Raises a log's start; `whenDurable` runs once that is on disk.
    func finish(_ retention: Retention, _ outcome: Retention.Outcome, whenDurable: @escaping () -> Void) {
        if let (topic, log) = catalog.find(partitionID: retention.partitionID) {
            let retentionMilliseconds = topic.configuration.retentionMilliseconds
            if retentionMilliseconds >= 0 {
                let (expiry, overflow) = (outcome.firstTimestamp ?? 0).addingReportingOverflow(retentionMilliseconds)
                log.nextRetentionCheck = outcome.firstTimestamp == nil ? 0 : overflow ? .max : expiry
            } else {
                log.nextRetentionCheck = Self.wallClock().millisecondsSinceEpoch + Self.recheckMilliseconds
            }
            if outcome.logStartOffset > log.logStartOffset { raiseStart(of: log, to: outcome.logStartOffset) }
        }
        committer.whenDurable(whenDurable)
    }

    /// Raises a log's start; what lies before goes in the next round of maintenance.
    func raiseStart(of log: PartitionLog, to offset: Int64) {
        log.advanceStart(to: offset)
        committer.write(
            .setLogStart(partitionID: log.id, logStartOffset: log.logStartOffset, nextOffset: log.nextOffset))
        committer.append(nil, to: log)
        logger.info(
            "old records deleted",
            metadata: ["topic": "\(log.topicName)", "partition": "\(log.number)", "log start": "\(offset)"])
    }

    /// Takes note of a round of compaction; `whenDurable` runs once retired markers may go.
    func finish(
        _ compaction: CompactionRound, _ outcome: CompactionRound.Outcome, whenDurable: @escaping () -> Void
    ) {
        defer { committer.whenDurable(whenDurable) }
        guard let (topic, log) = catalog.find(partitionID: compaction.partitionID) else { return }
        if !outcome.retiredMarkers.isEmpty {
            log.ledger.forgetAborted(markersAt: Set(outcome.retiredMarkers.keys))
            committer.append(nil, to: log)
        }
        if outcome.hasSeenCompressed, !log.hasToldOfCompression {
            log.hasToldOfCompression = true
            logger.warning(
                "compressed batches of a compacted topic are kept whole; let its producers send them uncompressed",
                metadata: ["topic": "\(log.topicName)", "partition": "\(log.number)"])
        }
        log.noteCompaction(
            upTo: outcome.compactedOffset, compactedBytes: outcome.compactedBytes,
            // What came meanwhile may be counted twice, but never not at all: the next round counts anew.
            uncompactedBytes: outcome.uncompactedBytes + log.appendedBytes - compaction.appendedBytes)
        log.nextDeleteHorizon = outcome.nextDeleteHorizon
        // What is left is too new to be compacted: no need to look at it all the time.
        let isHeldBack = outcome.hasRun && outcome.compactedOffset < compaction.upperBound
        let lag = topic.configuration.minimumCompactionLagMilliseconds
        log.nextCompactionCheck = isHeldBack ? compaction.now + min(lag, Self.recheckMilliseconds) : 0
        if outcome.hasRun {
            logger.debug(
                "log compacted",
                metadata: [
                    "topic": "\(log.topicName)", "partition": "\(log.number)",
                    "up to": "\(outcome.compactedOffset)", "bytes": "\(outcome.compactedBytes)",
                ])
        }
    }
}
