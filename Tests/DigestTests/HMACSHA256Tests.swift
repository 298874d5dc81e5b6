import Digest
import Testing

/// The test cases of RFC 4231, and the comparison of codes.
@Suite struct HMACSHA256Tests {
    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test(
        arguments: [
            (
                Array(repeating: 0x0b, count: 20), bytes("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                bytes("Jefe"), bytes("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                Array(repeating: 0xaa, count: 20), Array(repeating: 0xdd, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                Array(0x01...0x19), Array(repeating: 0xcd, count: 50),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
            ),
            // The RFC prints the first half of this one.
            (
                Array(repeating: 0x0c, count: 20), bytes("Test With Truncation"),
                "a3b6167473100ee06e0c796c2955552b"
            ),
            (
                Array(repeating: 0xaa, count: 131), bytes("Test Using Larger Than Block-Size Key - Hash Key First"),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (
                Array(repeating: 0xaa, count: 131),
                bytes(
                    "This is a test using a larger than block-size key and a larger than block-size data. "
                        + "The key needs to be hashed before being used by the HMAC algorithm."),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
            ),
            ([], [], "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
        ] as [([UInt8], [UInt8], String)])
    func publishedTestCases(key: [UInt8], message: [UInt8], code: String) {
        let computed = HMACSHA256.code(for: message, key: key)
        #expect(computed.count == HMACSHA256.size)
        #expect(hexadecimal(computed).hasPrefix(code))
    }

    @Test func codeIsValidForItsMessageAndKeyAlone() {
        let (key, message) = (Self.bytes("a key"), Self.bytes("a message"))
        let code = HMACSHA256.code(for: message, key: key)
        #expect(HMACSHA256.isValid(code, for: message, key: key))
        #expect(!HMACSHA256.isValid(code, for: Self.bytes("a massage"), key: key))
        #expect(!HMACSHA256.isValid(code, for: message, key: Self.bytes("b key")))
    }

    @Test func oneChangedBitMakesACodeWrong() {
        let (key, message) = (Self.bytes("a key"), Self.bytes("a message"))
        let code = HMACSHA256.code(for: message, key: key)
        for bit in 0..<(8 * HMACSHA256.size) {
            var wrong = code
            wrong[bit / 8] ^= 1 << (bit % 8)
            #expect(!HMACSHA256.isValid(wrong, for: message, key: key), "bit \(bit)")
        }
    }

    @Test func codeOfAnotherSizeIsWrong() {
        let code = HMACSHA256.code(for: [], key: [1])
        for other in [[], [0], Array(code.dropLast()), code + [0]] {
            #expect(!HMACSHA256.isValid(other, for: [], key: [1]))
        }
    }
}
