import OrchestraCore
import Placement
import Testing

@Suite struct PartitionerTests {
    @Test func agreesForTextBytesAndGrains() throws {
        let partitioner = try Partitioner(partitionCount: 16)
        let grain = try GrainID(type: "workflow", key: "ключ/🎼")
        #expect(partitioner.partition(of: grain) == partitioner.partition(forKey: "ключ/🎼"))
        #expect(partitioner.partition(of: grain) == partitioner.partition(forKey: Array("ключ/🎼".utf8)))
        #expect(throws: OrchestraError.self) { try Partitioner(partitionCount: 0) }
    }

    @Test func spreadsKeysEvenly() throws {
        let partitioner = try Partitioner(partitionCount: 16)
        var counts = [Int](repeating: 0, count: 16)
        for number in 0..<16_000 { counts[Int(partitioner.partition(forKey: "workflow-\(number)"))] += 1 }
        #expect(counts.allSatisfy { (850...1_150).contains($0) }, "1,000 each, give or take: \(counts)")
    }
}
