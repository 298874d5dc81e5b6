import NIOCore
import OrchestraCore
import Testing

@testable import LocalBroker

@Suite("Broker clock")
struct BrokerClockTests {
    @Test("it starts at the wall clock's time and goes on by what has passed")
    func passes() {
        let start = NIODeadline.now()
        let clock = BrokerClock(startedAt: Timestamp(millisecondsSinceEpoch: 1_000_000), start: start)
        #expect(clock.time(at: start).millisecondsSinceEpoch == 1_000_000)
        #expect(clock.time(at: start + .milliseconds(250)).millisecondsSinceEpoch == 1_000_250)
        #expect(clock.time(at: start + .nanoseconds(999_999)).millisecondsSinceEpoch == 1_000_000)
    }

    @Test("a transaction that was stored with a later time than now still times out")
    func storedInTheFuture() {
        let now = Timestamp(millisecondsSinceEpoch: 1_000_000)
        let future = now.advanced(by: .seconds(86_400))
        let row = TransactionRow(
            transactionalID: "x", producerID: 1, epoch: 0, previous: .none, timeoutMilliseconds: 60_000,
            state: .ongoing,
            partitions: [], groups: [], startedAt: future, lastUpdate: future)
        var coordinator = TransactionCoordinator(transactions: [row], now: now)
        #expect(coordinator.expire(now: now.advanced(by: .seconds(59))).isEmpty)
        #expect(!coordinator.expire(now: now.advanced(by: .seconds(60))).isEmpty)
    }
}
