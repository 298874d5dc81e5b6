import Avro
import EventLog
import Logging
import OrchestraCore
import Records

/// Reads a partition's changelog.
struct ChangelogReader: Sendable {
    let log: any PartitionLog
    let codec: any RecordCoding
    let logger: Logger

    /// Reads everything from `start` to the present end.
    ///
    /// A transaction leaves control markers behind its records, so the end is reached at the end-of-partition event,
    /// not at the last record.
    ///
    /// - Returns: how many records there were.
    func read(from start: StartOffset, _ take: (RestoredItem) -> Void) async throws -> Int {
        try await open(from: start) { reading in
            try await reading.toEnd(take)
        }
    }

    /// Opens the changelog and reads it in steps.
    func open(from start: StartOffset, _ body: (inout ChangelogReading) async throws -> Int) async throws -> Int {
        var reading = ChangelogReading(reader: self, intake: try await log.openChangelog(at: start))
        do {
            let count = try await body(&reading)
            await reading.intake.close()
            return count
        } catch {
            await reading.intake.close()
            throw error
        }
    }

    /// `nil` for a record that means nothing to this version.
    fileprivate func decode(_ record: ConsumedRecord) async throws -> RestoredItem? {
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
                logger.error(
                    "a grain's state cannot be read: it is kept untouched and its calls fail",
                    metadata: ["grain": "\(grain)", "offset": "\(record.offset)", "error": "\(error)"])
                return .grain(grain, .unreadable(reason: "\(error)"))
            }
        case .unknown(let key):
            logger.warning(
                "a changelog key is unknown to this version and is left alone",
                metadata: ["key": "\(String(decoding: key, as: UTF8.self))", "offset": "\(record.offset)"])
            return nil
        }
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
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
    }
}

/// A changelog that is being read.
struct ChangelogReading {
    /// How many records are taken at a time.
    private static let pageSize = 1_024
    /// After how many records a long restore says how far it has come.
    private static let reportInterval = 100_000

    fileprivate let reader: ChangelogReader
    fileprivate let intake: any IntakeSource
    /// How many records have been read.
    private(set) var count = 0
    private var position: Int64 = 0

    fileprivate init(reader: ChangelogReader, intake: any IntakeSource) {
        self.reader = reader
        self.intake = intake
    }

    /// Reads what is committed now. An open transaction may hide some of what stands before the present end.
    mutating func available(_ take: (RestoredItem) -> Void) async throws {
        try await read(to: 0, take)
    }

    /// Reads to the present end; waits for transactions that are still open there.
    ///
    /// - Returns: how many records have been read in all.
    mutating func toEnd(_ take: (RestoredItem) -> Void) async throws -> Int {
        let end = try await reader.log.watermarks(of: Topics.state).high
        if position < end { try await read(to: end, take) }
        return count
    }

    private mutating func read(to end: Int64, _ take: (RestoredItem) -> Void) async throws {
        while true {
            for event in try await intake.next(maximumRecords: ChangelogReading.pageSize) {
                switch event {
                case .endOfPartition(_, let nextOffset):
                    position = nextOffset
                case .record(let record):
                    count += 1
                    if count % ChangelogReading.reportInterval == 0 {
                        reader.logger.info(
                            "reading the changelog", metadata: ["records": "\(count)", "offset": "\(record.offset)"])
                    }
                    if let item = try await reader.decode(record) { take(item) }
                    position = -1
                }
            }
            if position >= end { return }
        }
    }
}
