import Avro
import EventLog
import Logging
import OrchestraCore
import Records
import Synchronization

/// Reads a partition's changelog into a state, from its beginning to its end and beyond: a standby goes on reading.
///
/// One task reads at a time; others may look at what has been read.
final class ChangelogTail: Sendable {
    /// How many records are taken at a time.
    private static let pageSize = 256
    /// After how many records a long restore says how far it has come.
    private static let reportInterval = 100_000
    /// How often a reader that only follows asks for the end, in a ``TombstoneWindow``.
    private static let looks = 4

    private struct Shared {
        var state: PartitionState
        var window: TombstoneWindow
        /// When a reader that only follows asks for the end.
        var nextLook: ContinuousClock.Instant
        /// The next offset, where the present end has been reached; -1 when records have come since.
        var position: Int64 = -1
        var count = 0
        /// How many bytes of state the silo's budget knows of.
        var countedBytes = 0
    }

    private let log: any PartitionLog
    private let codec: any RecordCoding
    private let clocks: Clocks
    private let logger: Logger
    private let intake: any IntakeSource
    private let shared: Mutex<Shared>

    private init(
        log: any PartitionLog, codec: any RecordCoding, clocks: Clocks, logger: Logger, intake: any IntakeSource,
        state: PartitionState, window: TombstoneWindow
    ) {
        self.log = log
        self.codec = codec
        self.clocks = clocks
        self.logger = logger
        self.intake = intake
        let nextLook = clocks.monotonic() + window.length / ChangelogTail.looks
        shared = Mutex(Shared(state: state, window: window, nextLook: nextLook))
    }

    /// Opens the changelog at its beginning.
    ///
    /// - Parameters:
    ///   - state: an empty one.
    ///   - tombstoneRetention: how long the changelog keeps tombstones.
    static func open(
        log: any PartitionLog, codec: any RecordCoding, clocks: Clocks, logger: Logger, into state: PartitionState,
        tombstoneRetention: Duration
    ) async throws(EventLogError) -> ChangelogTail {
        let window = TombstoneWindow(retention: tombstoneRetention, start: clocks.monotonic())
        return ChangelogTail(
            log: log, codec: codec, clocks: clocks, logger: logger,
            intake: try await log.openChangelog(at: .beginning), state: state, window: window)
    }

    func close() async { await intake.close() }

    // MARK: What has been read

    var claims: PartitionClaims { shared.withLock { $0.state.claims } }
    /// The sequence of the last commit that has been read.
    var sequence: Int64 { shared.withLock { $0.state.sequence } }
    var grainCount: Int { shared.withLock { $0.state.grains.count } }
    /// How many records have been read.
    var count: Int { shared.withLock { $0.count } }
    /// How many offsets there still were to the end when that was last asked; compaction may have emptied some.
    var unread: Int64 { shared.withLock { $0.window.unread } }
    /// How many bytes of state ``countBytes()`` has returned in all.
    var countedBytes: Int { shared.withLock { $0.countedBytes } }

    /// - Returns: how many bytes the state has grown by since the last call.
    func countBytes() -> Int {
        shared.withLock { shared in
            defer { shared.countedBytes = shared.state.stateBytes }
            return shared.state.stateBytes - shared.countedBytes
        }
    }

    /// Takes note that a silo with a claim released the partition or has been fenced.
    func didClear(_ silo: String) { shared.withLock { $0.state.didClear(silo) } }

    /// Takes the state out; what is read after that is lost.
    func takeState() -> PartitionState {
        shared.withLock { shared in
            var taken = shared.state.emptied()
            swap(&taken, &shared.state)
            return taken
        }
    }

    // MARK: Reading

    /// Reads what is committed now. An open transaction may hide some of what stands before the present end.
    ///
    /// - Parameter pace: how fast at most; `nil`: as fast as can be.
    func readAvailable(at pace: RestorePace? = nil) async throws {
        // To say how far it has come.
        try await lookForEnd()
        repeat {
            let bytes = try await readPage()
            await pace?.spend(bytes: bytes)
        } while shared.withLock { $0.position < 0 }
    }

    /// Reads to the present end; waits for transactions that are still open there.
    ///
    /// - Throws: also when it has taken so long that deletions may have been missed.
    func readToEnd() async throws {
        let end = try await askForEnd()
        while shared.withLock({ $0.position < end }) { try await readPage() }
        try check()
    }

    /// When it is time to ``look()``.
    var nextLook: ContinuousClock.Instant { shared.withLock { $0.nextLook } }

    /// Finds out, now and then, whether a reader that follows for long has read everything. To be called after each page.
    ///
    /// - Throws: when it has not for so long that deletions may have been missed.
    func look() async throws {
        if clocks.monotonic() >= nextLook {
            try await lookForEnd()
            let now = clocks.monotonic()
            shared.withLock { $0.nextLook = now + $0.window.length / ChangelogTail.looks }
        }
        try check()
    }

    /// Asks for the end; goes on without it if nobody answers.
    private func lookForEnd() async throws {
        do {
            _ = try await askForEnd()
        } catch {
            try Task.checkCancellation()
            logger.debug("Kafka does not say where the changelog ends", metadata: ["error": "\(error)"])
        }
    }

    private func askForEnd() async throws(EventLogError) -> Int64 {
        let askedAt = clocks.monotonic()
        let end = try await log.watermarks(of: Topics.state).high
        let now = clocks.monotonic()
        shared.withLock { $0.window.answered(end, askedAt: askedAt, at: now) }
        return end
    }

    private func check() throws(EventLogError) {
        let now = clocks.monotonic()
        guard shared.withLock({ $0.window.isOver(at: now) }) else { return }
        throw EventLogError(
            kind: .timedOut, name: "_TIMED_OUT",
            message: "the changelog was not read to its end for so long that deletions may have been compacted away",
            nextStep: "nothing, if the machine slept: it is read again from its beginning; "
                + "else raise delete.retention.ms of \(Topics.state)")
    }

    /// Waits for the next records and reads them. A cancelled task that has taken records finishes with them, unless it
    /// has to wait for the registry.
    ///
    /// - Returns: how many bytes it was.
    @discardableResult
    func readPage() async throws -> Int {
        let events = try await intake.next(maximumRecords: ChangelogTail.pageSize)
        var items: [RestoredItem] = []
        var position: Int64 = -1
        var next: Int64 = 0
        var count = 0
        for event in events {
            switch event {
            case .endOfPartition(_, let nextOffset): (position, next) = (nextOffset, nextOffset)
            case .record(let record):
                (position, next) = (-1, record.offset + 1)
                count += 1
                if let item = try await decode(record) { items.append(item) }
            }
        }
        let now = clocks.monotonic()
        let total = shared.withLock { shared in
            for item in items { shared.state.restore(item) }
            shared.window.read(to: next, at: now)
            shared.position = position
            shared.count += count
            return shared.count
        }
        // A restore takes its turn with everything else that the silo does.
        await Task.yield()
        if total / ChangelogTail.reportInterval > (total - count) / ChangelogTail.reportInterval {
            logger.info("reading the changelog", metadata: ["records": "\(total)", "unread": "\(unread)"])
        }
        return events.reduce(0) { $0 + $1.size }
    }

    // MARK: Decoding

    /// `nil` for a record that means nothing to this version.
    private func decode(_ record: ConsumedRecord) async throws -> RestoredItem? {
        switch ChangelogKey(record.key ?? []) {
        case .claim(let silo):
            var claim: PartitionClaim?
            if let value = record.value { claim = try await own(PartitionClaim.self, value, record) }
            return .claim(silo: silo, claim, offset: record.offset)
        case .progress:
            guard let value = record.value else { return nil }
            return .progress(try await own(PartitionProgress.self, value, record))
        case .grain(let grain):
            guard let value = record.value else { return .grain(grain, nil) }
            do {
                return .grain(grain, .readable(try await fetched(GrainStateRecord.self, value)))
            } catch let error as AvroError {
                warn(of: grain, record, error)
                return .grain(grain, .unreadable(reason: "\(error)"))
            }
        case .requests(let grain, let sequence):
            guard let value = record.value else { return .requests(grain, sequence: sequence, nil) }
            do {
                let sealed = try await fetched(SealedRequests.self, value)
                return .requests(grain, sequence: sequence, RequestChunk(sequence: sequence, sealed))
            } catch let error as AvroError {
                warn(of: grain, record, error)
                return .requests(grain, sequence: sequence, RequestChunk(sequence: sequence, damage: "\(error)"))
            }
        case .unknown(let key):
            logger.warning(
                "a changelog key is unknown to this version and is left alone",
                metadata: ["key": "\(String(decoding: key, as: UTF8.self))", "offset": "\(record.offset)"])
            return nil
        }
    }

    private func warn(of grain: GrainID, _ record: ConsumedRecord, _ error: AvroError) {
        logger.error(
            "a grain's state cannot be read: it is kept untouched and its calls fail",
            metadata: ["grain": "\(grain)", "offset": "\(record.offset)", "error": "\(error)"])
    }

    /// Decodes one of the partition's own records, without which it cannot be served.
    private func own<R: AvroRecord>(_: R.Type, _ value: [UInt8], _ record: ConsumedRecord) async throws -> R {
        do {
            return try await fetched(R.self, value)
        } catch let error as AvroError {
            throw OrchestraError(
                .quarantined, "\(record.topicPartition)@\(record.offset) is no readable \(R.avroName)",
                nextStep: "run a version that can read it", cause: error)
        }
    }

    /// Decodes a record; waits for the registry as long as it cannot be reached.
    private func fetched<R: AvroRecord>(_: R.Type, _ value: [UInt8]) async throws -> R {
        if let known = try codec.decodeIfKnown(R.self, from: value) { return known }
        var pause = Duration.milliseconds(200)
        while true {
            do throws(AvroError) {
                return try await codec.decode(R.self, from: value)
            } catch {
                guard error.isRetriable else { throw error }
                logger.warning("the schema registry cannot be reached, waiting", metadata: ["error": "\(error)"])
                try await clocks.sleep(pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
    }
}
