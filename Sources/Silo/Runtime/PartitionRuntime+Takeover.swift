import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// Taking a partition over: clear, join, claim, restore; in this order, for the reason that ``PartitionClaims`` gives.
extension PartitionRuntime {
    /// How long to wait before a rival that could not be cleared is tried again.
    private static let clearingPause = Duration.milliseconds(100)
    /// After this time, and each time again, the log says whom the partition waits for.
    private static let clearingPatience = Duration.seconds(10)

    /// Reads the changelog, and goes on reading until the silo is nominated.
    func follow() async -> PartitionLifecycle.Event {
        let start = context.clocks.monotonic()
        do {
            let tail = try await openTail()
            count(tail)
            context.attention.ask()
            let duration = context.clocks.monotonic() - start
            logger.debug(
                "following", metadata: ["records": "\(tail.count)", "milliseconds": "\(duration.wholeMilliseconds)"])
            while !shared.withLock({ $0.isNominated }) {
                try Task.checkCancellation()
                try await readUntilNominated(tail)
                count(tail)
                try await tail.look()
            }
            return .nominated
        } catch {
            return failure(of: "the changelog cannot be followed", error)
        }
    }

    /// The changelog, read to where it ends now; at once, if it is open.
    private func openTail() async throws -> ChangelogTail {
        if let tail = shared.withLock({ $0.tail }) { return tail }
        return try await context.restoreGate.enter {
            let tail = try await ChangelogTail.open(
                log: log, codec: context.origin.codec, clocks: context.clocks, logger: logger,
                into: PartitionState(knownTypes: Set(context.catalog.kinds.keys), limits: context.origin.limits),
                tombstoneRetention: context.tombstoneRetention)
            shared.withLock { $0.tail = tail }
            try await tail.readAvailable(at: context.restorePace)
            return tail
        }
    }

    /// What the silo keeps for its partitions is bounded, whether it serves or follows them.
    private func count(_ tail: ChangelogTail) { context.budget.add(tail.countBytes()) }

    private func readUntilNominated(_ tail: ChangelogTail) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await tail.readPage()
                } catch let error as EventLogError where error.kind == .closed && Task.isCancelled {
                    // Nothing was taken.
                }
            }
            group.addTask { await self.nomination.wait() }
            try await group.next()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    /// Gets rivals out of the way while the present owner goes on serving.
    func clear() async -> PartitionLifecycle.Event {
        do {
            guard let tail = shared.withLock({ $0.tail }) else { return .failed(.closed("the changelog is closed")) }
            repeat {
                guard try await clearRivals(tail, while: { self.shared.withLock { $0.isNominated } }) else {
                    return .withdrawn
                }
                try await tail.readToEnd()
                try checkForSuccessor(tail.claims)
            } while !tail.claims.rivals(of: context.origin.nodeID).isEmpty
            return .cleared
        } catch {
            return failure(of: "the partition's rivals cannot be cleared", error)
        }
    }

    /// A later process of the same name is no rival that can be cleared: one of the two must not be there.
    private func checkForSuccessor(_ claims: PartitionClaims) throws(OrchestraError) {
        guard let claim = claims.claim(of: context.origin.nodeID), claim.generation > context.generation else { return }
        throw OrchestraError(
            .conflict,
            "another process runs as silo \(claim.silo) (generation \(claim.generation), this is \(context.generation))",
            nextStep: "end one of the two, or give each its own node.id")
    }

    /// - Parameter isWanted: looked at before each attempt.
    /// - Returns: `false` if it was given up.
    private func clearRivals(_ tail: ChangelogTail, while isWanted: () -> Bool) async throws -> Bool {
        for rival in tail.claims.rivals(of: context.origin.nodeID) {
            var alarm = context.clocks.monotonic() + PartitionRuntime.clearingPatience
            while true {
                try Task.checkCancellation()
                guard isWanted() else { return false }
                if context.clocks.monotonic() > alarm {
                    alarm = context.clocks.monotonic() + PartitionRuntime.clearingPatience
                    logger.warning(
                        "another silo keeps a partition that this one shall own: their views differ, or they cannot reach each other",
                        metadata: ["silo": "\(rival.silo)", "generation": "\(rival.generation)"])
                }
                if let clearance = try await context.succession.clear(rival, of: partition) {
                    tail.didClear(rival.silo)
                    note(clearance, of: rival)
                    break
                }
                try await context.clocks.sleep(PartitionRuntime.clearingPause)
            }
        }
        return true
    }

    private func note(_ clearance: Clearance, of rival: PartitionClaim) {
        switch clearance {
        case .released:
            logger.debug("released by another silo", metadata: ["silo": "\(rival.silo)"])
        case .fenced(let instant):
            logger.notice(
                "fenced another silo", metadata: ["silo": "\(rival.silo)", "generation": "\(rival.generation)"])
            shared.withLock { shared in
                shared.rivalsAnswerUntil = max(shared.rivalsAnswerUntil ?? instant, instant)
            }
        }
    }

    func join() async -> PartitionLifecycle.Event {
        do throws(EventLogError) {
            let sink = try log.makeTransactions()
            shared.withLock { ($0.producer, $0.endedLife) = (sink, nil) }
            try await sink.initialize(timeout: .seconds(10))
            context.metrics.takeovers.increment()
            return .joined
        } catch {
            if !isStopping { logger.warning("the partition cannot be taken over yet", metadata: ["error": "\(error)"]) }
            return .failed(error)
        }
    }

    func writeClaim() async -> PartitionLifecycle.Event {
        guard let producer = shared.withLock({ $0.producer }) else { return .failed(.closed("no producer")) }
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
        try await producer.commit(TransactionBatch(records: records))
    }

    /// Deletes the claim of this silo, so that its successor need not fence it.
    func deleteClaim(_ producer: any TransactionSink) async {
        do throws(EventLogError) {
            try await commitClaims([context.origin.nodeID: nil], producer)
        } catch {
            logger.debug("the claim stays", metadata: ["error": "\(error)"])
        }
    }

    func restore() async -> PartitionLifecycle.Event {
        let start = context.clocks.monotonic()
        do {
            let hold = shared.withLock { ($0.tail, $0.producer) }
            guard let tail = hold.0, let producer = hold.1 else { return .failed(.closed("the changelog is closed")) }
            try await tail.readToEnd()
            while !tail.claims.rivals(of: context.origin.nodeID).isEmpty {
                _ = try await clearRivals(tail, while: { true })
                try await tail.readToEnd()
            }
            try await waitForRivalsAnswers()
            try await settleClaims(tail.claims, producer)
            try await install(tail)
            let duration = context.clocks.monotonic() - start
            context.metrics.restoredRecords.increment(by: Int64(tail.count))
            context.metrics.restoreTime.recordNanoseconds(duration.nanoseconds)
            let (grains, bytes, sequence) = shared.withLock { shared in
                (shared.state.grains.count, shared.state.stateBytes, shared.state.sequence)
            }
            logger.info(
                "restored",
                metadata: [
                    "grains": "\(grains)", "records": "\(tail.count)", "bytes": "\(bytes)", "sequence": "\(sequence)",
                    "milliseconds": "\(duration.wholeMilliseconds)",
                ])
            return .restored
        } catch {
            return failure(of: "the partition cannot be restored", error)
        }
    }

    /// A silo that was fenced answers queries until it misses its next heartbeat: until then nothing must change that it
    /// does not know of.
    private func waitForRivalsAnswers() async throws {
        guard let instant = shared.withLock({ $0.rivalsAnswerUntil }) else { return }
        let pause = instant - context.clocks.monotonic()
        if pause > .zero { try await context.clocks.sleep(pause) }
    }

    /// Step 5 of ``PartitionClaims``.
    private func settleClaims(_ claims: PartitionClaims, _ producer: any TransactionSink) async throws {
        guard claims.claim(of: context.origin.nodeID)?.generation == context.generation else {
            throw EventLogError(
                kind: .fenced, name: "_FENCED", message: "the claim on partition \(partition) was deleted by a rival")
        }
        let deleted = claims.clearedSilos
        guard !deleted.isEmpty else { return }
        try await commitClaims(
            Dictionary(uniqueKeysWithValues: deleted.map { ($0, nil as [UInt8]?) }), producer)
    }

    /// Puts what was read in the place of the partition's state.
    private func install(_ tail: ChangelogTail) async throws {
        var state = tail.takeState()
        let counted = tail.countedBytes
        state.finishRestore()
        let starts: [String: Int64]
        do {
            starts = try await inputStarts(state)
        } catch {
            context.budget.add(-counted)
            shared.withLock { $0.tail = nil }
            await tail.close()
            throw error
        }
        let settled = state
        shared.withLock { shared in
            context.budget.add(settled.stateBytes - counted - shared.state.stateBytes)
            shared.state = settled
            shared.takenIn = starts
            shared.positionsAheadSince = nil
            shared.tail = nil
        }
        await tail.close()
    }

    private func inputStarts(_ state: PartitionState) async throws -> [String: Int64] {
        var watermarks: [String: (low: Int64, high: Int64)] = [:]
        for topic in context.catalog.inputTopics { watermarks[topic] = try await log.watermarks(of: topic) }
        return try InputOffsets.starts(
            progress: state.progress, isEmpty: state.isEmpty, partition: partition, watermarks: watermarks)
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
