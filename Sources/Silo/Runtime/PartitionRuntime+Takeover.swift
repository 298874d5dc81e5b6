import DequeModule
import EventLog
import Logging
import Metrics
import OrchestraCore
import Records
import Synchronization

/// Taking a partition over: fence, claim, restore; in this order (see ``PartitionLifecycle``).
extension PartitionRuntime {
    func fence(
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
            return (.fenced, sink)
        } catch {
            if !isStopping { logger.warning("the partition cannot be fenced yet", metadata: ["error": "\(error)"]) }
            return (.failed(error), producer)
        }
    }

    func writeClaim(_ producer: any TransactionSink) async -> PartitionLifecycle.Event {
        let claim = PartitionClaim(
            silo: context.origin.nodeID, generation: context.generation, claimedAt: context.clocks.wall())
        do {
            let record = context.origin.stateRecord(.claim, try context.origin.codec.encode(claim))
            try await producer.commit(
                TransactionBatch(records: [record], offsets: [:], groupID: context.origin.groupID))
            return .claimed
        } catch let error as EventLogError {
            logger.warning("the claim could not be committed", metadata: ["error": "\(error)"])
            return .failed(error)
        } catch {
            return .contradiction(
                OrchestraError(.internalError, "partition \(partition): the claim cannot be encoded", cause: error))
        }
    }

    func readClaim() async -> PartitionLifecycle.Event {
        let mark = shared.withLock { $0.changelogMark }
        let reader = ChangelogReader(log: log, codec: context.origin.codec, logger: logger)
        var claim: PartitionClaim?
        do {
            _ = try await reader.read(from: .offset(mark)) { item in
                if case .claim(let found) = item { claim = found }
            }
            logger.warning(
                "the last claim was read back", metadata: ["claimant": "\(claim?.silo ?? "none")"])
            return .claimRead(claim)
        } catch {
            return failure(of: "the claim cannot be read back", error)
        }
    }

    func restore() async -> PartitionLifecycle.Event {
        await context.restoreGate.enter {
            let start = context.clocks.monotonic()
            var state = PartitionState(
                knownTypes: Set(context.catalog.kinds.keys), limits: context.origin.limits)
            do {
                let reader = ChangelogReader(log: log, codec: context.origin.codec, logger: logger)
                let count = try await reader.read(from: .beginning) { state.restore($0) }
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
