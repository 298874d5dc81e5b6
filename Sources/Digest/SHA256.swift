import COpenSSL

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
    /// The size of a digest in bytes.
    package static let size = 32

    /// - Parameter message: any number of bytes.
    /// - Returns: its digest, ``size`` bytes.
    package static func digest(of message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: size) { target, count in
            var written: UInt32 = 0
            let succeeded = message.withUnsafeBytes {
                EVP_Digest($0.baseAddress, $0.count, target.baseAddress, &written, LibCrypto.shared.sha256, nil)
            }
            guard succeeded == 1, written == size else { LibCrypto.fail("made no SHA-256 of \(message.count) bytes") }
            count = size
        }
    }
}
