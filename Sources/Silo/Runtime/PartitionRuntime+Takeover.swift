import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// Taking a partition over: join, claim, fence and restore; in this order, for the reason that ``PartitionClaims`` gives.
extension PartitionRuntime {
    func join(
        _ existing: (any TransactionSink)?
    ) async -> (event: PartitionLifecycle.Event, producer: (any TransactionSink)?) {
        var producer = existing
        do throws(EventLogError) {
            let mark = try await log.watermarks(of: Topics.state).high
            let sink: any TransactionSink
            if let producer { sink = producer } else { sink = try log.makeTransactions() }
            producer = sink
            try await sink.initialize(timeout: .seconds(10))
            shared.withLock { $0.changelogMark = mark }
            context.metrics.takeovers.increment()
            return (.joined, sink)
        } catch {
            if !isStopping { logger.warning("the partition cannot be taken over yet", metadata: ["error": "\(error)"]) }
            return (.failed(error), producer)
        }
    }

    func writeClaim(_ producer: any TransactionSink) async -> PartitionLifecycle.Event {
        let claim = PartitionClaim(
            silo: context.origin.nodeID, generation: context.generation, transactionalId: context.transactionalID,
            claimedAt: context.clocks.wall())
        do {
            try await commitClaims([claim.silo: try context.origin.codec.encode(claim)], producer)
            return .claimed
        } catch let error as EventLogError {
            logger.warning("the claim could not be committed", metadata: ["error": "\(error)"])
            return .failed(error)
        } catch {
            return .contradiction(
                OrchestraError(.internalError, "partition \(partition): the claim cannot be encoded", cause: error))
        }
    }

    /// - Parameter claims: by silo; `nil` deletes.
    private func commitClaims(_ claims: [String: [UInt8]?], _ producer: any TransactionSink) async throws(EventLogError)
    {
        let records = claims.sorted { $0.key < $1.key }.map { silo, value in
            context.origin.stateRecord(.claim(silo: silo), value)
        }
        try await producer.commit(TransactionBatch(records: records, groupID: context.origin.groupID))
    }

    /// Deletes the claim of this silo, so that its successor need not fence it.
    func deleteClaim(_ producer: any TransactionSink) async {
        do throws(EventLogError) {
            try await commitClaims([context.origin.nodeID: nil], producer)
        } catch {
            logger.debug("the claim stays", metadata: ["error": "\(error)"])
        }
    }

    func readClaim() async -> PartitionLifecycle.Event {
        let mark = shared.withLock { $0.changelogMark }
        let reader = ChangelogReader(log: log, codec: context.origin.codec, logger: logger)
        var claims = PartitionClaims()
        do {
            _ = try await reader.read(from: .offset(mark)) { item in
                if case .claim(let silo, let claim, let offset) = item { claims.take(claim, of: silo, at: offset) }
            }
            logger.warning(
                "the last claim was read back", metadata: ["claimant": "\(claims.latest?.silo ?? "none")"])
            return .claimRead(claims.latest)
        } catch {
            return failure(of: "the claim cannot be read back", error)
        }
    }

    func restore(_ producer: any TransactionSink) async -> PartitionLifecycle.Event {
        await context.restoreGate.enter {
            let start = context.clocks.monotonic()
            var state = PartitionState(
                knownTypes: Set(context.catalog.kinds.keys), limits: context.origin.limits)
            do {
                let reader = ChangelogReader(log: log, codec: context.origin.codec, logger: logger)
                let count = try await reader.open(from: .beginning) { reading in
                    try await readFencingRivals(&reading, &state)
                }
                try await settleClaims(state.claims, producer)
                state.finishRestore()
                let starts = try await inputStarts(state)
                context.metrics.restoredRecords.increment(by: Int64(count))
                let duration = context.clocks.monotonic() - start
                context.metrics.restoreTime.recordNanoseconds(duration.wholeMilliseconds * 1_000_000)
                logger.info(
                    "restored",
                    metadata: [
                        "grains": "\(state.grains.count)", "records": "\(count)", "bytes": "\(state.stateBytes)",
                        "sequence": "\(state.sequence)", "milliseconds": "\(duration.wholeMilliseconds)",
                    ])
                install(state, starts)
                return .restored
            } catch {
                return failure(of: "the partition cannot be restored", error)
            }
        }
    }

    /// Step 3 of ``PartitionClaims``. What is readable is read first: a rival's open transaction may hide the rest.
    private func readFencingRivals(
        _ reading: inout ChangelogReading, _ state: inout PartitionState
    ) async throws -> Int {
        try await reading.available { state.restore($0) }
        while true {
            for rival in state.claims.rivals(of: context.origin.nodeID) {
                logger.notice(
                    "fencing another silo",
                    metadata: ["silo": "\(rival.silo)", "generation": "\(rival.generation)"])
                try await log.fence(transactionalID: rival.transactionalId)
                state.didFence(rival.silo)
            }
            let count = try await reading.toEnd { state.restore($0) }
            if state.claims.rivals(of: context.origin.nodeID).isEmpty { return count }
        }
    }

    /// Step 4 of ``PartitionClaims``.
    private func settleClaims(_ claims: PartitionClaims, _ producer: any TransactionSink) async throws {
        guard claims.claim(of: context.origin.nodeID)?.generation == context.generation else {
            throw EventLogError(
                kind: .fenced, name: "_FENCED", message: "the claim on partition \(partition) was deleted by a rival")
        }
        let deleted = claims.fencedSilos
        guard !deleted.isEmpty else { return }
        try await commitClaims(
            Dictionary(uniqueKeysWithValues: deleted.map { ($0, nil as [UInt8]?) }), producer)
    }

    private func inputStarts(_ state: PartitionState) async throws -> [String: Int64] {
        var watermarks: [String: (low: Int64, high: Int64)] = [:]
        for topic in context.catalog.inputTopics { watermarks[topic] = try await log.watermarks(of: topic) }
        return try InputOffsets.starts(
            progress: state.progress, isEmpty: state.isEmpty, partition: partition, watermarks: watermarks)
    }

    private func install(_ state: PartitionState, _ starts: [String: Int64]) {
        shared.withLock { shared in
            context.budget.add(state.stateBytes - shared.state.stateBytes)
            shared.state = state
            shared.takenIn = starts
            shared.positionsAheadSince = nil
        }
    }

    private func failure(of what: String, _ error: any Error) -> PartitionLifecycle.Event {
        switch error {
        case let error as OrchestraError where error.code != .unavailable: return .contradiction(error)
        case let error as EventLogError:
            if !isStopping { logger.warning("\(what)", metadata: ["error": "\(error)"]) }
            return .failed(error)
        default: return .failed(.closed("\(what): \(error)"))
        }
    }
}
