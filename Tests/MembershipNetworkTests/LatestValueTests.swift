import Testing

@testable import MembershipNetwork

@Suite
struct LatestValueTests {
    @Test
    func aSlowConsumerGetsTheLatestValueAndTheEnd() async {
        let values = LatestValue<Int>()
        var iterator = values.makeAsyncIterator()
        values.set(1)
        values.set(2)
        #expect(await iterator.next() == 2)
        values.set(3)
        values.finish()
        #expect(await iterator.next() == 3)
        #expect(await iterator.next() == nil)
        values.set(4)
        #expect(values.current == 3)
    }

    @Test
    func severalConsumersWaitEachForItself() async {
        let values = LatestValue<Int>()
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var last = 0
                    for await value in values { last = value }
                    return last
                }
            }
            for value in 1...100 {
                values.set(value)
                await Task.yield()
            }
            values.finish()
            for await last in group { #expect(last == 100) }
        }
    }

    @Test
    func cancellationEndsTheWait() async {
        let values = LatestValue<Int>()
        let waiting = Task {
            var iterator = values.makeAsyncIterator()
            return await iterator.next()
        }
        waiting.cancel()
        #expect(await waiting.value == nil)
    }
}
