import Testing

@testable import EventLog

struct LogThrottleTests {
    @Test func repetitionsAreCountedAndToldOnce() {
        var throttle = LogThrottle(window: .seconds(30))
        let start = ContinuousClock.now
        #expect(throttle.judge("Connect to 127.0.0.1:9092 failed (after 1ms)", now: start) == .write)
        for second in 1...20 {
            let now = start + .seconds(second)
            #expect(throttle.judge("Connect to 127.0.0.1:9092 failed (after \(second)ms)", now: now) == .drop)
        }
        #expect(throttle.judge("something else", now: start + .seconds(21)) == .write)
        #expect(
            throttle.judge("Connect to 127.0.0.1:9092 failed (after 0ms)", now: start + .seconds(31))
                == .writeAfter(leftOut: 20))
    }

    @Test func itRemembersABoundedNumberOfKinds() {
        var throttle = LogThrottle()
        let start = ContinuousClock.now
        for index in 0..<1000 {
            let kind = String(repeating: "x", count: index)
            #expect(throttle.judge(kind, now: start + .milliseconds(index)) == (index <= 200 ? .write : .drop))
        }
    }
}
