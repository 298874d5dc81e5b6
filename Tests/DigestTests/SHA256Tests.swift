import Digest
import Foundation
import Testing

/// The examples that NIST publishes for FIPS 180-4, and what may not change them.
@Suite struct SHA256Tests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ])
    func publishedExamples(message: String, digest: String) {
        #expect(hexadecimal(SHA256.digest(of: Array(message.utf8))) == digest)
    }

    @Test func manyThreadsShareOneInstance() async {
        let expected = SHA256.digest(of: Array("abc".utf8))
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<2_000).allSatisfy { _ in SHA256.digest(of: Array("abc".utf8)) == expected }
                }
            }
            for await same in group { #expect(same) }
        }
    }

    /// With this `openssl.cnf`, libcrypto's default context has no algorithm at all.
    @Test func configurationOfTheMachineDoesNotMatter() async {
        await #expect(processExitsWith: .success) {
            let file = FileManager.default.temporaryDirectory.appending(path: "openssl-\(UUID().uuidString).cnf")
            try """
            openssl_conf = configuration
            [configuration]
            providers = providers
            [providers]
            null = nothing
            [nothing]
            activate = 1
            """.write(to: file, atomically: true, encoding: .utf8)
            defer { try? FileManager.default.removeItem(at: file) }
            setenv("OPENSSL_CONF", file.path, 1)
            #expect(SHA256.digest(of: []).first == 0xe3)
            #expect(HMACSHA256.code(for: [], key: []).first == 0xb6)
        }
    }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}
