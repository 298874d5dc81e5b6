import COpenSSL

/// This project's own instance of libcrypto's algorithms.
///
/// A library context of its own reads no `openssl.cnf`, so no file of the machine can take an algorithm away or put
/// another one in its place. What is left to go wrong is memory that ran out or a libcrypto without SHA-256: no input
/// brings either about, and there is no way to go on.
struct LibCrypto: Sendable {
    static let shared = LibCrypto()

    // libcrypto locks its contexts and counts references to its algorithms: any thread may use them, and these live as
    // long as the process.
    nonisolated(unsafe) let context: OpaquePointer
    nonisolated(unsafe) let sha256: OpaquePointer

    private init() {
        guard let context = OSSL_LIB_CTX_new(), let sha256 = EVP_MD_fetch(context, "SHA256", nil) else {
            LibCrypto.fail("offers no SHA-256")
        }
        self.context = context
        self.sha256 = sha256
    }

    /// Stops the process and says what libcrypto said. No input leads here, only a broken library or no memory, and nothing
    /// that a node does is right without digests.
    static func fail(_ what: String) -> Never {
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(ERR_get_error(), &text, text.count)
        let reason = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        fatalError("\(String(cString: OpenSSL_version(OPENSSL_VERSION))) \(what): \(reason)")
    }
}
