import OrchestraCore
import Testing

@testable import Silo

@Suite struct LiveGrainsTests {
    private func id(_ number: Int) throws -> GrainID { try GrainID(type: Counter.type, key: "\(number)") }

    @Test func keepsWhatIsUsedWithinItsBounds() throws {
        var live = LiveGrains(limit: 10, byteLimit: 1_000_000)
        try live.keep(Counter(total: -1), id(0), size: 10)
        for number in 1...1_000 {
            try live.keep(Counter(total: number), id(number), size: 10)
            #expect((try live.use(id(0)) as? Counter)?.total == -1, "used all the time, so kept")
            #expect(live.count <= 10)
        }
        #expect(try live.use(id(1)) == nil, "not used, so dropped")
        try live.remove(id(0))
        #expect(try live.use(id(0)) == nil)
    }

    @Test func agingDropsWhatIsNotUsed() throws {
        var live = LiveGrains(limit: 100, byteLimit: 1_000_000)
        for number in 0..<10 { try live.keep(Counter(total: number), id(number), size: 10) }
        #expect(live.age() == 0)
        #expect(try live.use(id(3)) != nil)
        #expect(live.age() == 9)
        #expect(try live.use(id(3)) != nil)
        #expect(live.count == 1 && live.bytes == 10)
        _ = live.age()
        #expect(live.age() == 1)
        #expect(live.count == 0 && live.bytes == 0)
    }

    @Test func isBoundedInBytes() throws {
        var live = LiveGrains(limit: 1_000, byteLimit: 10_000)
        for number in 0..<500 {
            try live.keep(Counter(), id(number), size: number % 7 * 1_000)
            #expect(live.bytes <= 10_000)
        }
        try live.keep(Counter(), id(1_000), size: 6_000)
        #expect(try live.use(id(1_000)) == nil, "larger than a generation")
        for _ in 0..<100 { try live.keep(Counter(), id(1), size: 10) }
        try live.remove(id(1))
        #expect(live.bytes <= 10_000)
    }
}
