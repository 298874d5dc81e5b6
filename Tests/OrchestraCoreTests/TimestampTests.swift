import OrchestraCore
import Testing

@Suite struct TimestampTests {
    @Test func advancesAndMeasures() {
        let start = Timestamp(millisecondsSinceEpoch: 1_000)
        #expect(start.advanced(by: .seconds(2)).millisecondsSinceEpoch == 3_000)
        #expect(start.advanced(by: .milliseconds(-1_500)).millisecondsSinceEpoch == -500)
        #expect(start.duration(since: Timestamp(millisecondsSinceEpoch: 4_000)) == .seconds(-3))
        #expect(start < start.advanced(by: .milliseconds(1)))
    }

    @Test func roundsTowardsThePast() {
        let start = Timestamp(millisecondsSinceEpoch: 0)
        #expect(start.advanced(by: .microseconds(1_999)).millisecondsSinceEpoch == 1)
        #expect(start.advanced(by: .microseconds(-1)).millisecondsSinceEpoch == -1)
    }

    @Test func sticksToTheEndsOfItsRange() {
        let last = Timestamp(millisecondsSinceEpoch: .max)
        let first = Timestamp(millisecondsSinceEpoch: .min)
        #expect(last.advanced(by: .seconds(1)) == last)
        #expect(first.advanced(by: .seconds(-1)) == first)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeMilliseconds == .min)
    }
}
