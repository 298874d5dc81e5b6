internal import CRdKafka
internal import OrchestraCore

/// Copies what librdkafka hands out into values of our own.
struct RecordDecoder {
    /// The topic of the last record: records come in runs of one topic, so most cost no new string.
    private var lastTopic: (native: OpaquePointer, name: String)?
    /// The bytes of keys and values copied so far.
    private(set) var bytes = 0

    mutating func record(_ message: UnsafePointer<rd_kafka_message_t>) -> ConsumedRecord {
        let native = message.pointee
        let value = native.payload.map { copy($0, native.len) }
        let key = native.key.map { copy($0, native.key_len) }
        return ConsumedRecord(
            topicPartition: TopicPartition(topic: topic(of: native), partition: native.partition),
            offset: native.offset, timestamp: timestamp(of: message), key: key, value: value,
            headers: headers(of: message))
    }

    private mutating func topic(of message: rd_kafka_message_t) -> String {
        if let lastTopic, lastTopic.native == message.rkt { return lastTopic.name }
        let name = String(cString: rd_kafka_topic_name(message.rkt))
        if let native = message.rkt { lastTopic = (native, name) }
        return name
    }

    private mutating func copy(_ start: UnsafeMutableRawPointer, _ count: Int) -> [UInt8] {
        bytes += count
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    private func timestamp(of message: UnsafePointer<rd_kafka_message_t>) -> Timestamp {
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let milliseconds = rd_kafka_message_timestamp(message, &kind)
        let isKnown = kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        return Timestamp(millisecondsSinceEpoch: isKnown ? max(0, milliseconds) : 0)
    }

    private func headers(of message: UnsafePointer<rd_kafka_message_t>) -> [RecordHeader] {
        var native: OpaquePointer?
        guard rd_kafka_message_headers(message, &native) == RD_KAFKA_RESP_ERR_NO_ERROR, let native else { return [] }
        let count = rd_kafka_header_cnt(native)
        var headers: [RecordHeader] = []
        headers.reserveCapacity(count)
        for index in 0..<count {
            var name: UnsafePointer<CChar>?
            var value: UnsafeRawPointer?
            var length = 0
            let code = rd_kafka_header_get_all(native, index, &name, &value, &length)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let name else { break }
            headers.append(
                RecordHeader(
                    name: String(cString: name),
                    value: value.map { Array(UnsafeRawBufferPointer(start: $0, count: length)) }))
        }
        return headers
    }
}

/// An error event of a consumer's queue.
struct ConsumerFailure {
    var code: rd_kafka_resp_err_t
    var words: String
    var isFatal: Bool
    var partition: TopicPartition?
    /// For the end of a partition: the next offset that will be read.
    var offset: Int64

    init(_ event: OpaquePointer) {
        code = rd_kafka_event_error(event)
        words = rd_kafka_event_error_string(event).map { String(cString: $0) } ?? ""
        isFatal = rd_kafka_event_error_is_fatal(event) != 0
        offset = -1
        guard let native = rd_kafka_event_topic_partition(event) else { return }
        partition = TopicPartition(native.pointee)
        offset = native.pointee.offset
        rd_kafka_topic_partition_destroy(native)
    }

    /// What the reader must hear; `nil` for what librdkafka repeats by itself until it succeeds.
    func error(on client: ClientHandle) -> EventLogError? {
        let context = partition.map { "reading \($0)" } ?? "reading"
        let kind = EventLogError.kind(of: code)
        if isFatal {
            return EventLogError(code, context, detail: words, kind: kind == .fenced ? .fenced : .fatal, on: client)
        }
        switch kind {
        case .offsetOutOfRange, .unknownTopic, .fatal, .fenced:
            return EventLogError(code, context, detail: words, on: client)
        default:
            return nil
        }
    }
}

/// Decides when to tell librdkafka that its queue has room again.
///
/// librdkafka 2.0.2 stops fetching when the queue of a consumer is full (that is the back-pressure of this module), but
/// then looks at it again only once a second. A nudge after each half queue that was taken out keeps it busy. Later
/// versions have `fetch.queue.backoff.ms` for this.
struct FetchPacer {
    private let records: Int
    private let bytes: Int
    private var takenRecords = 0
    private var takenBytes = 0

    init(queuedRecords: Int, queuedBytes: Int) {
        records = max(1, queuedRecords / 2)
        bytes = max(1, queuedBytes / 2)
    }

    /// - Returns: whether to nudge now.
    mutating func took(records taken: Int, bytes size: Int) -> Bool {
        takenRecords += taken
        takenBytes += size
        guard takenRecords >= records || takenBytes >= bytes else { return false }
        takenRecords = 0
        takenBytes = 0
        return true
    }
}

extension ClientConfiguration {
    /// How much a consumer reads ahead: enough to keep a reader busy for a while, little enough that megabyte records
    /// do not fill the memory. At most one queue and one response are in memory for each open stream.
    static let consumerDefaults = [
        // How long an idle fetch waits at the broker. Records end the wait at once, but a partition that is opened
        // meanwhile has to wait for it.
        "fetch.wait.max.ms": "200",
        "fetch.error.backoff.ms": "100",
        "queued.min.messages": "10000",
        "queued.max.messages.kbytes": "16384",
        "fetch.message.max.bytes": "1048576",
        "fetch.max.bytes": "8388608",
        // How soon a queue that was full is looked at again; for versions without this property see `FetchNudge`.
        "fetch.queue.backoff.ms": "10",
    ]

    /// What no consumer of this module does: commit by itself, or guess where to start.
    static let consumerFixed = [
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
    ]

    func makePacer() -> FetchPacer {
        FetchPacer(
            queuedRecords: value(of: "queued.min.messages").flatMap { Int($0) } ?? 10_000,
            queuedBytes: (value(of: "queued.max.messages.kbytes").flatMap { Int($0) } ?? 16_384) * 1024)
    }
}

/// Wakes the threads that fetch, so that they look at their queues again.
///
/// Setting the credentials to what they are is the one call of librdkafka 2.0.2's interface that wakes them and
/// changes nothing else; where no mechanism uses a user name they are never looked at.
struct FetchNudge: Sendable {
    private let username: String
    private let password: String

    init(_ configuration: ClientConfiguration) {
        username = configuration.value(of: "sasl.username") ?? configuration.value(of: "sasl.user.name") ?? "-"
        password = configuration.value(of: "sasl.password") ?? "-"
    }

    func callAsFunction(_ client: OpaquePointer) {
        if let error = rd_kafka_sasl_set_credentials(client, username, password) { rd_kafka_error_destroy(error) }
    }
}
