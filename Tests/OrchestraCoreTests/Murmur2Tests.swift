import OrchestraCore
import Testing

/// The vectors are those of Apache Kafka's own `UtilsTest.testMurmur2`.
@Suite struct Murmur2Tests {
    @Test(
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
        ] as [(String, Int32)])
    func hashesLikeKafka(text: String, hash: Int32) {
        #expect(murmur2(Array(text.utf8)) == hash)
        #expect(murmur2(text.utf8) == hash, "other collections hash alike")
    }

    @Test func hashesEveryLengthOfTail() {
        // All remainders modulo the word of four bytes, the empty key included.
        let hashes = (0...8).map { murmur2([UInt8](repeating: 0xff, count: $0)) }
        #expect(Set(hashes).count == hashes.count)
        #expect(hashes[0] == 275_646_681)
    }

    @Test func partitionsAreNeverNegative() {
        for count: Int32 in [1, 2, 7, 16, 1_000] {
            for number in 0..<2_000 {
                let partition = OrchestraCore.partition(forKey: "key-\(number)".utf8, count: count)
                #expect((0..<count).contains(partition))
            }
        }
        #expect(OrchestraCore.partition(forKey: "foobar".utf8, count: 16) == (-790_332_482 & 0x7fff_ffff) % 16)
    }
}
