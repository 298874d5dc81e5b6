package import EventLog
package import OrchestraCore
import Records

/// The dead letters of a batch: where a record is from, why it failed, how often it was tried, and its first bytes.
/// The headers repeat it for readers without the schema.
package struct DeadLetters: Sendable {
    package private(set) var records: [ProducerRecord] = []
    package private(set) var reasons: [(code: String, reason: String)] = []
    private let origin: BatchOrigin
    private let now: Timestamp

    package init(origin: BatchOrigin, now: Timestamp) {
        self.origin = origin
        self.now = now
    }

    /// A consumed record that cannot be processed.
    package mutating func add(
        _ record: ConsumedRecord, grain: GrainID?, code: String, reason: String, attempts: Int
    ) throws {
        let limit = origin.limits.deadLetterPayload
        let letter = DeadLetter(
            topic: record.topicPartition.topic, partition: record.topicPartition.partition, offset: record.offset,
            code: code, reason: DeadLetters.shortened(reason), attempts: Int32(clamping: attempts), node: origin.nodeID,
            at: now, payload: record.value.map { Array($0.prefix(limit)) },
            payloadSize: Int32(clamping: record.value?.count ?? 0))
        // A key too long for a grain could itself be as large as a record.
        try append(letter, key: record.key.map { Array($0.prefix(GrainID.maximumKeyLength)) }, grain: grain)
    }

    /// A timer whose handler failed.
    package mutating func add(_ timer: TimerEntry, _ error: OrchestraError, attempts: Int) throws {
        let letter = DeadLetter(
            topic: Topics.state, partition: origin.partition, offset: -1, code: error.code.rawValue,
            reason: DeadLetters.shortened("timer \"\(timer.name ?? "")\" of \(timer.grain): \(error)"),
            attempts: Int32(clamping: attempts), node: origin.nodeID, at: now)
        try append(letter, key: Array(timer.grain.key.utf8), grain: timer.grain)
    }

    /// A record on its way to the partition that its key belongs to.
    package static func republished(_ record: ConsumedRecord, to partition: Int32) -> ProducerRecord {
        let from = "\(record.topicPartition)@\(record.offset)"
        return ProducerRecord(
            topic: record.topicPartition.topic, partition: partition, key: record.key, value: record.value,
            headers: record.headers + [RecordHeader(name: "orchestra.republished-from", value: Array(from.utf8))])
    }

    private mutating func append(_ letter: DeadLetter, key: [UInt8]?, grain: GrainID?) throws {
        var headers = [
            DeadLetters.header("orchestra.topic", letter.topic),
            DeadLetters.header("orchestra.partition", "\(letter.partition)"),
            DeadLetters.header("orchestra.offset", "\(letter.offset)"),
            DeadLetters.header("orchestra.code", letter.code),
            DeadLetters.header("orchestra.reason", letter.reason),
            DeadLetters.header("orchestra.attempts", "\(letter.attempts)"),
            DeadLetters.header("orchestra.node", letter.node),
        ]
        if let grain { headers.append(DeadLetters.header("orchestra.grain", grain.description)) }
        records.append(
            ProducerRecord(
                topic: Topics.deadLetters, partition: origin.partition, key: key,
                value: try origin.codec.encode(letter), headers: headers))
        reasons.append((letter.code, "\(letter.topic)[\(letter.partition)]@\(letter.offset): \(letter.reason)"))
    }

    private static func header(_ name: String, _ value: String) -> RecordHeader {
        RecordHeader(name: name, value: Array(value.utf8))
    }

    /// Handlers choose the words of their errors; not all of them need to be kept.
    private static func shortened(_ reason: String) -> String { reason.truncated(toBytes: 2_000) }
}
