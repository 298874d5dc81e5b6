internal import CRdKafka
internal import Logging
internal import Synchronization

/// What librdkafka's callbacks reach: the logger, the metrics, and whoever waits for deliveries.
///
/// librdkafka calls from its own threads and from the client's thread; nothing in here calls back into it.
final class ClientObserver: Sendable {
    /// Called for each record that was delivered, or was given up.
    typealias Delivery = @Sendable (UnsafePointer<rd_kafka_message_t>) -> Void

    private let logger: Logger
    private let statistics: StatisticsReporter
    private let onDelivery: Delivery?
    private let throttle = Mutex(LogThrottle())
    private let lastTransportError = Mutex<String?>(nil)

    init(logger: Logger, statistics: StatisticsReporter, onDelivery: Delivery?) {
        self.logger = logger
        self.statistics = statistics
        self.onDelivery = onDelivery
    }

    /// Why brokers could not be reached lately, in librdkafka's words.
    var transportError: String? { lastTransportError.withLock { $0 } }

    /// Hooks this observer into a configuration. It must stay alive until the client has been destroyed.
    func install(in configuration: OpaquePointer) {
        rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(self).toOpaque())
        rd_kafka_conf_set_log_cb(configuration) { handle, level, facility, text in
            guard let observer = ClientObserver.of(handle), let facility, let text else { return }
            observer.log(level: level, facility: String(cString: facility), text: String(cString: text))
        }
        rd_kafka_conf_set_error_cb(configuration) { _, code, text, opaque in
            guard let observer = ClientObserver.at(opaque) else { return }
            observer.failed(rd_kafka_resp_err_t(code), text: text.map { String(cString: $0) } ?? "")
        }
        rd_kafka_conf_set_stats_cb(configuration) { _, json, length, opaque in
            guard let observer = ClientObserver.at(opaque), let json else { return 0 }
            observer.statistics.report(UnsafeRawBufferPointer(start: json, count: length))
            return 0
        }
        guard onDelivery != nil else { return }
        rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
            guard let observer = ClientObserver.at(opaque), let message else { return }
            observer.onDelivery?(message)
        }
    }

    private static func of(_ handle: OpaquePointer?) -> ClientObserver? {
        handle.flatMap { at(rd_kafka_opaque($0)) }
    }

    private static func at(_ opaque: UnsafeMutableRawPointer?) -> ClientObserver? {
        opaque.map { Unmanaged<ClientObserver>.fromOpaque($0).takeUnretainedValue() }
    }

    private func log(level: Int32, facility: String, text: String) {
        let level = ClientObserver.level(syslog: level, facility: facility)
        guard level >= logger.logLevel else { return }
        switch throttle.withLock({ $0.judge(facility + text, now: .now) }) {
        case .drop: return
        case .write: logger.log(level: level, "librdkafka: \(text)", metadata: ["facility": "\(facility)"])
        case .writeAfter(let leftOut):
            logger.log(
                level: level, "librdkafka: \(text)", metadata: ["facility": "\(facility)", "repeated": "\(leftOut)"])
        }
    }

    private func failed(_ code: rd_kafka_resp_err_t, text: String) {
        switch code {
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__SSL,
            RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            lastTransportError.withLock { $0 = text }
        default: break
        }
        // A fatal error also reaches whoever uses the client; here it is only written down. To be fenced is the fate
        // of every owner whose partition moves.
        let isGrave = code == RD_KAFKA_RESP_ERR__FATAL && !text.contains("fenced")
        log(level: isGrave ? 3 : 4, facility: "CLIENT", text: text)
    }

    /// librdkafka calls every refused connection an error. While a broker restarts that is expected, and it goes on
    /// trying by itself, so it is a warning here.
    private static func level(syslog: Int32, facility: String) -> Logger.Level {
        switch facility {
        case "FAIL", "ERROR", "REQTMOUT", "BRKMAIN", "GETPID": return .warning
        // The transaction that failed says the same to its caller, who decides how grave it is.
        case "ADDPARTS", "ADDOFFSETS", "TXNOFFSETS", "ENDTXN": return .info
        // One configuration serves producers and consumers; what concerns only the other kind is no news. Fatal errors
        // come by the error callback too.
        case "CONFWARN", "FATAL", "TXNERR": return .debug
        default: break
        }
        switch syslog {
        case ...2: return .critical
        case 3: return .error
        case 4: return .warning
        case 5: return .notice
        case 6: return .info
        default: return .debug
        }
    }
}
