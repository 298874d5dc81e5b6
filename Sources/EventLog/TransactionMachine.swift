internal import CRdKafka

/// The life of a transactional producer as a value: it is told what each call of librdkafka returned, and says what
/// to do next. It follows librdkafka's rules for transactional errors ("Introduction to librdkafka", Transactional
/// producer): a fatal error ends the producer; an error that requires an abort ends the transaction; a retriable one
/// repeats the same call; any other is fatal.
struct TransactionMachine {
    enum Phase: String, Sendable {
        /// Can transition to: initializing, closed.
        case created
        /// Can transition to: ready; created (timed out: may be resumed); fenced; fatal.
        case initializing
        /// Can transition to: inTransaction, fatal, fenced, closed.
        case ready
        /// Can transition to: committing, aborting, fenced, fatal.
        case inTransaction
        /// Can transition to: ready, aborting, fenced, fatal (also when its outcome stays unknown).
        case committing
        /// Can transition to: ready, fenced, fatal.
        case aborting
        /// A newer producer has the transactional id. Can transition to: closed.
        case fenced
        /// Can transition to: closed.
        case fatal
        /// No exit.
        case closed

        fileprivate var exits: Set<Phase> {
            switch self {
            case .created: [.initializing, .closed]
            case .initializing: [.ready, .created, .fenced, .fatal]
            case .ready: [.inTransaction, .fatal, .fenced, .closed]
            case .inTransaction: [.committing, .aborting, .fenced, .fatal]
            case .committing: [.ready, .aborting, .fenced, .fatal]
            case .aborting: [.ready, .fenced, .fatal]
            case .fenced, .fatal: [.closed]
            case .closed: []
            }
        }
    }

    /// What to do after a call has failed.
    enum Directive: Sendable {
        /// Make the same call again with the same arguments.
        case again
        /// Abort the transaction, then report this.
        case abort(EventLogError)
        /// Report this; no call is left to make.
        case stop(EventLogError)
    }

    private(set) var phase = Phase.created
    let transactionalID: String

    init(transactionalID: String) {
        self.transactionalID = transactionalID
    }

    /// - Precondition: the transition is legal; only a defect of this module makes an illegal one.
    mutating func enter(_ next: Phase) {
        precondition(
            phase.exits.contains(next), "transactional producer \(transactionalID): \(phase) cannot become \(next)")
        phase = next
    }

    /// Why a transaction cannot begin now; `nil` if it can.
    func refusal() -> EventLogError? {
        switch phase {
        case .ready: nil
        case .created:
            EventLogError(
                kind: .retriable, name: "_STATE",
                message: "transactional producer \(transactionalID) is not initialized",
                nextStep: "call initialize first")
        case .fenced:
            EventLogError(
                kind: .fenced, name: "_FENCED",
                message: "transactional producer \(transactionalID) was fenced by a newer one")
        case .fatal:
            EventLogError(
                kind: .fatal, name: "_FATAL", message: "transactional producer \(transactionalID) has failed",
                nextStep: "close it and make a new one")
        case .closed: .closed("transactional producer \(transactionalID)")
        case .initializing, .inTransaction, .committing, .aborting:
            EventLogError(
                kind: .retriable, name: "_STATE",
                message: "transactional producer \(transactionalID) is busy (\(phase.rawValue))")
        }
    }

    /// Judges a call that failed in the present phase.
    ///
    /// - Parameters:
    ///   - error: the failure, already translated.
    ///   - failure: librdkafka's own classification.
    ///   - mayRepeat: whether time is left to make the same call again.
    ///   - allDelivered: whether every record of the transaction had been acknowledged. Only then can a commit have
    ///     reached the coordinator, so only then is its outcome in doubt.
    mutating func failed(
        _ failure: CallFailure, error: EventLogError, mayRepeat: Bool, allDelivered: Bool
    ) -> Directive {
        let isInDoubt = phase == .committing && allDelivered
        if failure.isFatal || failure.code == RD_KAFKA_RESP_ERR__FATAL {
            let isFenced = error.kind == .fenced
            enter(isFenced ? .fenced : .fatal)
            return .stop(isInDoubt ? error.with(.outcomeUnknown) : error.with(isFenced ? .fenced : .fatal))
        }
        switch phase {
        case .initializing:
            if failure.isRetriable && mayRepeat { return .again }
            guard failure.isRetriable else { break }
            enter(.created)
            return .stop(error.with(error.kind == .timedOut ? .timedOut : .retriable))
        case .inTransaction:
            if failure.requiresAbort { return abort(error) }
            if failure.isRetriable { return mayRepeat ? .again : abort(error) }
        case .committing:
            if failure.requiresAbort { return abort(error) }
            if failure.isRetriable && mayRepeat { return .again }
            guard failure.isRetriable else { break }
            // Not every record was acknowledged, so no commit was sent: the transaction can still be aborted, but
            // librdkafka accepts no abort once a commit has begun. A new producer with the same id aborts it.
            enter(.fatal)
            return .stop(error.with(.outcomeUnknown))
        case .aborting:
            if failure.isRetriable && mayRepeat { return .again }
        case .ready:
            guard failure.isRetriable else { break }
            return mayRepeat ? .again : .stop(error.with(.abortable))
        case .created, .fenced, .fatal, .closed: break
        }
        enter(.fatal)
        return .stop(isInDoubt ? error.with(.outcomeUnknown) : error.with(.fatal))
    }

    private mutating func abort(_ error: EventLogError) -> Directive {
        enter(.aborting)
        switch error.kind {
        case .tooLarge, .unknownTopic: return .abort(error)
        default: return .abort(error.with(.abortable))
        }
    }
}

extension EventLogError {
    /// The same failure, with what it happened in.
    func during(_ circumstance: String) -> EventLogError {
        var copy = self
        copy.message += "; in \(circumstance)"
        return copy
    }

    /// The same failure, sorted differently.
    func with(_ kind: Kind) -> EventLogError {
        var copy = self
        copy.kind = kind
        return copy
    }
}
