import GRDB
import Logging
import Metrics
import NIOCore

// Group commit. Everything that happens on the broker's event loop while one SQLite transaction is being written
// becomes the next one. The loop changes its own state at once, hands the same changes over as operations, and lets
// nobody see their effect before they are on disk: what a client is told waits in `whenDurable`.
//
// Some changes are not worth a transaction of their own, because no client has been promised them yet: they ride with
// the next one (`ride`), or go alone if none comes soon. Order is kept among all changes, so whatever is on disk is a
// prefix of what has happened.
//
//     collecting ── seal ──▶ writing ── committed ──▶ completions run, the next collection is sealed
//                              └────── failed ─────▶ the broker stops: its memory is ahead of its disk
//
/// Collects changes and writes them with one SQLite transaction at a time, in order.
///
/// Belongs to the broker's event loop: every method must be called there.
final class GroupCommitter {
    private let pool: DatabasePool
    private let eventLoop: any EventLoop
    /// Called when a transaction failed. Nothing is acknowledged after it.
    private let onFailure: (any Error) -> Void
    private var operations: [WriteOperation] = []
    /// False while `operations` holds only what may wait for others.
    private var mustSeal = false
    /// Where in `operations` the row of a transactional id is: only its last version has to be written.
    private var transactionRows: [String: Int] = [:]
    private var completions: [() -> Void] = []
    private var dirtyLogs: [PartitionLog] = []
    private var pendingBytes = 0

    private var writing: Sealed?
    private var isSealScheduled = false
    private var sealCount = 0
    private var isRideLimited = false
    private let checkpointer: Checkpointer?
    private let metrics: CommitMetrics
    private(set) var hasFailed = false
    /// Bytes of record batches that wait for the disk.
    private(set) var outstandingBytes = 0
    /// Called each time a transaction has been committed, after its completions.
    var onCommit: (() -> Void)?

    private struct Sealed {
        var completions: [() -> Void]
        var visible: [(log: PartitionLog, nextOffset: Int64, lastStableOffset: Int64)]
        var byteCount: Int
    }

    /// What may wait at most for another change to come along.
    private static let maximumRiders = 1_000
    /// How long a change waits for another one to come along; a client that is not held up needs less for its next
    /// request.
    private static let maximumRide = TimeAmount.milliseconds(50)

    init(
        pool: DatabasePool, checkpointer: Checkpointer? = nil, eventLoop: any EventLoop,
        onFailure: @escaping (any Error) -> Void
    ) {
        self.pool = pool
        self.checkpointer = checkpointer
        self.eventLoop = eventLoop
        self.onFailure = onFailure
        metrics = CommitMetrics()
    }

    /// Adds a change to the next transaction.
    func write(_ operation: WriteOperation) {
        add(operation)
        mustSeal = true
        scheduleSeal()
    }

    /// Adds a change to the next transaction that somebody else needs; ``whenDurable(_:)`` does not wait for it.
    ///
    /// For changes that may be lost when the process is killed, as long as nothing that came later survives.
    func ride(_ operation: WriteOperation) {
        add(operation)
        if operations.count > Self.maximumRiders {
            flush()
        } else if !mustSeal {
            limitRide()
        }
    }

    /// Sees to it that what rides now is written even if nobody else writes.
    private func limitRide() {
        guard !isRideLimited else { return }
        isRideLimited = true
        let seals = sealCount
        eventLoop.assumeIsolated().scheduleTask(in: Self.maximumRide) { [weak self] in
            guard let self else { return }
            isRideLimited = false
            if sealCount == seals {
                flush()
            } else if !operations.isEmpty {
                limitRide()
            }
        }
    }

    /// Writes also what could wait.
    func flush() {
        guard !operations.isEmpty else { return }
        mustSeal = true
        scheduleSeal()
    }

    private func add(_ operation: WriteOperation) {
        switch operation {
        case .transaction(.persist(let row)):
            if let index = transactionRows[row.transactionalID] {
                operations[index] = operation
                return
            }
            transactionRows[row.transactionalID] = operations.count
        case .transaction(.remove(let transactionalID)):
            transactionRows[transactionalID] = nil
        default: break
        }
        operations.append(operation)
    }

    /// Adds a batch that has its place in `log` already, or a change of the log's ledger if `batch` is nil.
    func append(_ batch: RecordBatch?, to log: PartitionLog) {
        if let batch {
            pendingBytes += batch.bytes.count
            outstandingBytes += batch.bytes.count
            operations.append(.appendBatch(partitionID: log.id, batch))
        }
        if !log.isDirty {
            log.isDirty = true
            dirtyLogs.append(log)
        }
        scheduleSeal()
    }

    /// Runs `completion` once every change made so far is on disk: now, if there is none on its way.
    func whenDurable(_ completion: @escaping () -> Void) {
        guard !hasFailed else { return }
        if mustSeal || !dirtyLogs.isEmpty {
            completions.append(completion)
        } else if writing != nil {
            writing?.completions.append(completion)
        } else {
            completion()
        }
    }

    private func scheduleSeal() {
        guard writing == nil, !isSealScheduled, !hasFailed else { return }
        isSealScheduled = true
        // At the end of this turn of the event loop, so that what arrived together is written together.
        eventLoop.assumeIsolated().execute { [self] in
            isSealScheduled = false
            seal()
        }
    }

    private func seal() {
        guard writing == nil, !hasFailed, mustSeal || !dirtyLogs.isEmpty else { return }
        var visible: [(log: PartitionLog, nextOffset: Int64, lastStableOffset: Int64)] = []
        visible.reserveCapacity(dirtyLogs.count)
        for log in dirtyLogs {
            log.isDirty = false
            let changes = log.ledger.drainChanges()
            if !changes.isEmpty { operations.append(.ledger(partitionID: log.id, changes)) }
            visible.append((log, log.nextOffset, log.ledger.lastStableOffset(logEndOffset: log.nextOffset)))
        }
        sealCount += 1
        let sealed = operations
        writing = Sealed(completions: completions, visible: visible, byteCount: pendingBytes)
        metrics.groupSize.record(operations.count)
        operations = []
        mustSeal = false
        transactionRows.removeAll(keepingCapacity: true)
        completions = []
        dirtyLogs = []
        pendingBytes = 0
        let started = NIODeadline.now()
        let callback = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        pool.asyncWriteWithoutTransaction { database in
            let result = Result { try Self.commit(sealed, to: database) }
            eventLoop.execute { callback.value.finish(result, started: started) }
        }
    }

    private static func commit(_ operations: [WriteOperation], to database: Database) throws {
        try SQLiteStatement("BEGIN IMMEDIATE", in: database).run()
        do {
            for operation in operations { try operation.apply(to: database) }
            try SQLiteStatement("COMMIT", in: database).run()
        } catch {
            if database.isInsideTransaction { try? database.execute(sql: "ROLLBACK") }
            throw error
        }
    }

    private func finish(_ result: Result<Void, any Error>, started: NIODeadline) {
        metrics.duration.recordNanoseconds((NIODeadline.now() - started).nanoseconds)
        guard let finished = writing else { return }
        writing = nil
        outstandingBytes -= finished.byteCount
        switch result {
        case .success:
            for (log, nextOffset, lastStableOffset) in finished.visible {
                log.publish(highWatermark: nextOffset, lastStableOffset: lastStableOffset)
            }
            for completion in finished.completions { completion() }
            onCommit?()
            seal()
            checkpointer?.note(bytes: finished.byteCount)
        case .failure(let error):
            hasFailed = true
            onFailure(error)
        }
    }
}
