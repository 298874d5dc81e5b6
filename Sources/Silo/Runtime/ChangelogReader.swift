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

    /// How many records are taken at a time.
    private static let pageSize = 1_024
    /// After how many records a long restore says how far it has come.
    private static let reportInterval = 100_000

    /// Reads everything from `start` to the present end. The end is read now, so fence every other writer first.
    ///
    /// A transaction leaves control markers behind its records, so the end is reached at the end-of-partition event,
    /// not at the last record (DESIGN.md §6, rule 13).
    ///
    /// - Returns: how many records there were.
    func read(
        from start: StartOffset, _ take: (RestoredItem) -> Void
    ) async throws -> Int {
        let end = try await log.watermarks(of: Topics.state).high
        let intake = try await log.openChangelog(at: start)
        do {
            let count = try await read(intake, to: end, take)
            await intake.close()
            return count
        } catch {
            await intake.close()
            throw error
        }
    }

    private func read(
        _ intake: any IntakeSource, to end: Int64, _ take: (RestoredItem) -> Void
    ) async throws -> Int {
        var count = 0
        var nextReport = ChangelogReader.reportInterval
        while true {
            if count >= nextReport {
                logger.info("reading the changelog", metadata: ["records": "\(count)", "end": "\(end)"])
                nextReport += ChangelogReader.reportInterval
            }
            for event in try await intake.next(maximumRecords: ChangelogReader.pageSize) {
                switch event {
                case .endOfPartition(_, let nextOffset) where nextOffset >= end: return count
                case .endOfPartition: continue
                case .record(let record):
                    count += 1
                    if let item = try await decode(record) { take(item) }
                }
            }
        }
    }

    /// `nil` for a record that means nothing to this version.
    private func decode(_ record: ConsumedRecord) async throws -> RestoredItem? {
        switch ChangelogKey(record.key ?? []) {
        case .claim:
            guard let value = record.value else { return nil }
            return .claim(try await own(PartitionClaim.self, value, record))
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
