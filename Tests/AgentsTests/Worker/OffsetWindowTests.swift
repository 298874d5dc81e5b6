import SeededRandom
import Testing

@testable import Agents

@Suite("The offset window")
struct OffsetWindowTests {

    @Test("never commits past an unfinished record, and in the end everything", arguments: 0..<200 as Range<UInt64>)
    func randomOrders(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var window = OffsetWindow()
        var running: [Int64] = []
        var finished: Set<Int64> = []
        var begun: [Int64] = []
        var next: Int64 = Int64.random(in: 0...5, using: &generator)
        for _ in 0..<300 {
            if running.isEmpty || Bool.random(using: &generator) {
                let isNew = window.begin(next)
                let isNewAgain = window.begin(next)
                #expect(isNew)
                #expect(!isNewAgain, "seed \(seed): a repetition of \(next) was taken in")
                running.append(next)
                begun.append(next)
                // Gaps: control markers, aborted and compacted records.
                next += Int64.random(in: 1...3, using: &generator)
            } else {
                let offset = running.remove(at: Int.random(in: 0..<running.count, using: &generator))
                finished.insert(offset)
                window.finish(offset)
                window.finish(offset)
            }
            guard let committable = window.committable else { continue }
            for offset in begun where offset < committable {
                #expect(finished.contains(offset), "seed \(seed): commit \(committable) is past unfinished \(offset)")
            }
            if Bool.random(using: &generator) {
                window.committed(committable)
                #expect(window.committable == nil)
            }
        }
        for offset in running.shuffled(using: &generator) { window.finish(offset) }
        #expect(window.count == 0)
        window.committable.map { window.committed($0) }
        #expect(window.committable == nil)
        let isNew = window.begin(begun[0])
        #expect(!isNew)
    }

    @Test("the first record that is not done holds the mark")
    func lowWaterMark() {
        var window = OffsetWindow()
        for offset: Int64 in [5, 6, 9] { _ = window.begin(offset) }
        window.finish(9)
        window.finish(6)
        window.finish(100)
        #expect(window.committable == nil)
        #expect(window.count == 3)
        window.finish(5)
        #expect(window.committable == 10)
        #expect(window.count == 0)
    }
}
