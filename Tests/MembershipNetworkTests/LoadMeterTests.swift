import Membership
import Testing

@testable import MembershipNetwork

struct LoadMeterTests {
    private func moment(_ seconds: Int64) -> Moment { Moment(microseconds: seconds * 1_000_000) }

    @Test func theLoadIsTheShareOfAllCores() {
        var meter = LoadMeter(coreCount: 4)
        #expect(meter.sample(processorTime: .seconds(100), at: moment(0)) == nil)
        #expect(meter.sample(processorTime: .seconds(105), at: moment(5)) == 63)
        #expect(meter.sample(processorTime: .seconds(110), at: moment(10)) == 63)
    }

    @Test func aMomentsWorkIsSmoothedAndThePastForgotten() {
        var meter = LoadMeter(coreCount: 1)
        _ = meter.sample(processorTime: .zero, at: moment(0))
        #expect(meter.sample(processorTime: .zero, at: moment(5)) == 0)
        #expect(meter.sample(processorTime: .seconds(5), at: moment(10)) == 127)
        #expect(meter.sample(processorTime: .seconds(10), at: moment(15)) == 191)
        for second in stride(from: Int64(20), through: 80, by: 5) {
            _ = meter.sample(processorTime: .seconds(10), at: moment(second))
        }
        #expect(meter.sample(processorTime: .seconds(10), at: moment(85)) == 0)
    }

    @Test func whatCannotBeStaysOnTheScale() {
        var meter = LoadMeter(coreCount: 0)
        _ = meter.sample(processorTime: .zero, at: moment(0))
        #expect(meter.sample(processorTime: .zero, at: moment(0)) == nil)
        #expect(meter.sample(processorTime: .seconds(60), at: moment(5)) == 255)
        var other = LoadMeter(coreCount: 2)
        _ = other.sample(processorTime: .seconds(9), at: moment(0))
        #expect(other.sample(processorTime: .seconds(8), at: moment(5)) == 0)
    }

    @Test func thisProcessHasUsedSomeTime() {
        let before = LoadMeter.processorTime()
        var sum: UInt64 = 0
        while LoadMeter.processorTime() == before { sum &+= 1 }
        #expect(before > .zero && LoadMeter.processorTime() > before)
    }
}
