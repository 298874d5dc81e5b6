import NIOCore
import Testing
import Transport

@Suite struct LogLimiterTests {
    @Test func eachPeerHasOneLineAMinute() {
        let limiter = LogLimiter()
        let start = NIODeadline.now()
        #expect(limiter.admit("10.0.0.1 wrongSecret", now: start) == 0)
        for second in 1..<60 {
            #expect(limiter.admit("10.0.0.1 wrongSecret", now: start + .seconds(Int64(second))) == nil)
        }
        #expect(limiter.admit("10.0.0.2 wrongSecret", now: start + .seconds(30)) == 0)
        // The next line says how many were left out.
        #expect(limiter.admit("10.0.0.1 wrongSecret", now: start + .seconds(60)) == 59)
        #expect(limiter.admit("10.0.0.1 wrongSecret", now: start + .seconds(61)) == nil)
        #expect(limiter.admit("10.0.0.1 wrongSecret", now: start + .seconds(120)) == 1)
    }
}
