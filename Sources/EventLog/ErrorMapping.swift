internal import CRdKafka

extension EventLogError {
    /// Translates an error code of librdkafka.
    ///
    /// - Parameters:
    ///   - code: the code.
    ///   - context: what was being done, as in "fetching orders[3]".
    ///   - detail: librdkafka's own words; its description of the code by default.
    ///   - bootstrapServers: named in the next step of errors that mean that nobody answers.
    init(
        code: rd_kafka_resp_err_t, context: String, detail: String? = nil, kind: Kind? = nil,
        bootstrapServers: String? = nil
    ) {
        let words = detail.flatMap { $0.isEmpty ? nil : $0 } ?? String(cString: rd_kafka_err2str(code))
        let kind = kind ?? EventLogError.kind(of: code)
        self.init(
            kind: kind, name: String(cString: rd_kafka_err2name(code)), message: "\(context): \(words)",
            nextStep: EventLogError.nextStep(for: code, kind: kind, bootstrapServers: bootstrapServers))
    }

    static func closed(_ what: String) -> EventLogError {
        EventLogError(kind: .closed, name: "_DESTROY", message: "\(what) is closed")
    }

    /// Anything not listed is taken for a passing condition of the cluster.
    static func kind(of code: rd_kafka_resp_err_t) -> Kind {
        switch code {
        case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
            .fenced
        case RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
            .timedOut
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
            .queueFull
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
            .tooLarge
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
            RD_KAFKA_RESP_ERR__NO_OFFSET:
            .offsetOutOfRange
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            .unknownTopic
        case RD_KAFKA_RESP_ERR__DESTROY, RD_KAFKA_RESP_ERR__PURGE_QUEUE:
            .closed
        case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
            .outcomeUnknown
        case RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_INVALID_CONFIG,
            RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
            RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
            .badConfiguration
        case RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL,
            RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
            RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
            .fatal
        default:
            .retriable
        }
    }

    private static func nextStep(for code: rd_kafka_resp_err_t, kind: Kind, bootstrapServers: String?) -> String? {
        switch code {
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE,
            RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
            bootstrapServers.map { "check that Kafka runs and answers at \($0) (bootstrap.servers)" }
        case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
            "check security.protocol and the sasl.* properties"
        case RD_KAFKA_RESP_ERR__SSL:
            "check security.protocol and the ssl.* properties"
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            "grant this user access at the broker"
        default:
            switch kind {
            case .tooLarge: "raise message.max.bytes here and max.message.bytes of the topic, or write less"
            case .unknownTopic: "create the topic, or check its name and its number of partitions"
            default: nil
            }
        }
    }
}

/// An `rd_kafka_error_t`, read and destroyed.
struct CallFailure: Sendable {
    var code: rd_kafka_resp_err_t
    var message: String
    /// The client can never be used again.
    var isFatal: Bool
    /// The transaction must be aborted.
    var requiresAbort: Bool
    /// The same call with the same arguments may succeed.
    var isRetriable: Bool

    init(
        code: rd_kafka_resp_err_t, message: String, isFatal: Bool = false, requiresAbort: Bool = false,
        isRetriable: Bool = false
    ) {
        self.code = code
        self.message = message
        self.isFatal = isFatal
        self.requiresAbort = requiresAbort
        self.isRetriable = isRetriable
    }

    /// Takes `error` over; `nil` if there is none.
    init?(consuming error: OpaquePointer?) {
        guard let error else { return nil }
        defer { rd_kafka_error_destroy(error) }
        self.init(
            code: rd_kafka_error_code(error), message: String(cString: rd_kafka_error_string(error)),
            isFatal: rd_kafka_error_is_fatal(error) != 0,
            requiresAbort: rd_kafka_error_txn_requires_abort(error) != 0,
            isRetriable: rd_kafka_error_is_retriable(error) != 0)
    }
}
