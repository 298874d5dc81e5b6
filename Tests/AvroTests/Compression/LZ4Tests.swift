import Compression
import OrchestraCore
import SeededRandom
import Testing

@Suite struct LZ4Tests {
    @Test(arguments: [0, 1, 15, 1024, 70_000, 3_000_000])
    func roundTrip(_ size: Int) throws {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 / 7 ^ $0 >> 9) }
        let block = LZ4.compress(bytes)
        #expect(try LZ4.decompress(block, size: size) == bytes)
        if size > 1000 { #expect(block.count < size) }
    }

    @Test func incompressible() throws {
        var random = SeededGenerator(seed: 1)
        let bytes = (0..<10_000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        #expect(try LZ4.decompress(LZ4.compress(bytes), size: bytes.count) == bytes)
    }

    @Test func wrongSizes() {
        let block = LZ4.compress([UInt8](repeating: 7, count: 1000))
        for size in [-1, 0, 999, 1001, 5000, Int.max] {
            let error = #expect(throws: OrchestraError.self) { try LZ4.decompress(block, size: size) }
            #expect(error?.code == .invalidArgument)
        }
        #expect(throws: OrchestraError.self) { try LZ4.decompress([], size: 1) }
    }

    @Test func damagedBlocks() {
        var random = SeededGenerator(seed: 2)
        let bytes = (0..<2000).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let block = LZ4.compress(bytes)
        for _ in 0..<5000 {
            // Damage may go unnoticed (there is no checksum), but the size never differs.
            let result = try? LZ4.decompress(Mutation.apply(to: block, &random), size: bytes.count)
            #expect(result == nil || result?.count == bytes.count)
        }
    }
}
