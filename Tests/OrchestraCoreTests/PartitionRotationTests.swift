import OrchestraCore
import Testing

@Suite struct PartitionRotationTests {
    private func turns(_ turns: Int, of count: Int32, first: Int32 = 0) -> [Int32] {
        var rotation = PartitionRotation(count: count, first: first)
        return (0..<turns).map { _ in
            defer { rotation.advance() }
            return rotation.current
        }
    }

    @Test(arguments: 1...200) func allPartitionsGetTheirTurn(count: Int32) {
        #expect(Set(turns(Int(count), of: count, first: .max)) == Set(0..<count))
    }

    @Test func neighboursAreFarApart() {
        // Two consumers with eight neighbouring partitions each: neither gets more than two turns in a row.
        let halves = turns(64, of: 16).map { $0 < 8 }
        let runs = halves.split { $0 }.map(\.count) + halves.split { !$0 }.map(\.count)
        #expect(runs.max()! <= 2)
    }

    @Test func anyNumberIsAStart() {
        #expect(turns(1, of: 16, first: 19) == [3])
        #expect((0..<16).contains(turns(1, of: 16, first: .min)[0]))
        #expect(turns(2, of: 0) == [0, 0])
    }
}
