import NIOCore
import OrchestraCore

/// The clock of session time-outs, transactions and expiries: the wall clock's time at the start, and from then on only
/// the time that has really passed. Somebody who sets the wall clock evicts no member and aborts no transaction.
/// (Timestamps of records come from the wall clock itself.)
struct BrokerClock {
    private let startedAt: Timestamp
    private let start: NIODeadline

    init(startedAt: Timestamp = BrokerCore.wallClock(), start: NIODeadline = .now()) {
        self.startedAt = startedAt
        self.start = start
    }

    var now: Timestamp { time(at: .now()) }

    func time(at instant: NIODeadline) -> Timestamp {
        startedAt.advanced(by: .nanoseconds((instant - start).nanoseconds))
    }
}
