import COpenSSL

/// HMAC with SHA-256 (RFC 2104): proves that the sender of a message knows a key.
package enum HMACSHA256 {
    /// The size of a code in bytes.
    package static let size = SHA256.size

    /// - Parameters:
    ///   - message: any number of bytes.
    ///   - key: any number of bytes; those beyond 64 count only through their digest.
    /// - Returns: the message's authentication code, ``size`` bytes.
    package static func code(for message: [UInt8], key: [UInt8]) -> [UInt8] {
        // libcrypto takes a null pointer for "no key was given". HMAC pads a key with zero bytes, so this is the same key.
        let key = key.isEmpty ? [0] : key
        return [UInt8](unsafeUninitializedCapacity: size) { target, count in
            var written = 0
            let succeeded = message.withUnsafeBytes { message in
                EVP_Q_mac(
                    LibCrypto.shared.context, "HMAC", nil, "SHA256", nil, key, key.count,
                    message.baseAddress, message.count, target.baseAddress, size, &written)
            }
            guard succeeded != nil, written == size else {
                LibCrypto.fail("made no HMAC-SHA-256 of \(message.count) bytes")
            }
            count = size
        }
    }

    /// Whether `code` is the message's; every wrong code of the right size takes the same time.
    ///
    /// - Parameters:
    ///   - code: what the peer sent; of any size.
    ///   - message: what it should authenticate.
    ///   - key: what both sides know.
    package static func isValid(_ code: [UInt8], for message: [UInt8], key: [UInt8]) -> Bool {
        code.count == size && CRYPTO_memcmp(code, HMACSHA256.code(for: message, key: key), size) == 0
    }
}
