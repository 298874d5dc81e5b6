import COpenSSL

/// What all TLS connections of one side have in common: TLS 1.3 only, both sides show a certificate, each trusts the
/// given roots and nobody else. Names in certificates are not looked at. Sessions are not resumed.
package final class TLSContext: Sendable {
    /// Which side of a connection.
    package enum Side: Sendable {
        /// The side that dialed.
        case client
        /// The side that was dialed.
        case server
    }

    let side: Side
    // OpenSSL counts the references to a context and locks it where connections share it. Nothing here changes it after
    // `init`.
    nonisolated(unsafe) let pointer: OpaquePointer

    /// - Parameters:
    ///   - side: which side of its connections.
    ///   - certificate: the path of a PEM file: this node's certificate, then intermediate ones.
    ///   - key: the path of a PEM file: the certificate's private key, not encrypted.
    ///   - trustRoots: the path of a PEM file: the certificates that sign those of peers.
    package init(_ side: Side, certificate: String, key: String, trustRoots: String) throws(TLSError) {
        ERR_clear_error()
        guard let pointer = SSL_CTX_new(side == .client ? TLS_client_method() : TLS_server_method()) else {
            throw .last(.library, otherwise: "no memory for TLS")
        }
        self.side = side
        self.pointer = pointer
        // From here on `deinit` frees it, also when this throws.
        try check(copenssl_require_tls13(pointer), .library, "OpenSSL has no TLS 1.3")
        copenssl_release_buffers(pointer)
        copenssl_cache_no_sessions(pointer)
        try check(SSL_CTX_set_num_tickets(pointer, 0), .library, "tickets cannot be turned off")
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        try check(SSL_CTX_use_certificate_chain_file(pointer, certificate), .certificate, "no certificate in it")
        try check(SSL_CTX_load_verify_file(pointer, trustRoots), .trustRoots, "no certificate in it")
        try useKey(key)
    }

    /// A context with other settings, for tests; it is this one's from here on.
    init(_ side: Side, taking pointer: OpaquePointer) {
        (self.side, self.pointer) = (side, pointer)
    }

    deinit { SSL_CTX_free(pointer) }

    private func useKey(_ path: String) throws(TLSError) {
        ERR_clear_error()
        guard let file = BIO_new_file(path, "r") else { throw .last(.key, otherwise: "no such file") }
        defer { BIO_free(file) }
        // Without a callback OpenSSL would ask for a passphrase at the terminal.
        guard let key = PEM_read_bio_PrivateKey(file, nil, { _, _, _, _ in -1 }, nil) else {
            throw .last(.key, otherwise: "no private key in it")
        }
        defer { EVP_PKEY_free(key) }
        try check(SSL_CTX_use_PrivateKey(pointer, key), .pair, "the key is not the certificate's")
        // A key of another algorithm than the certificate's gets this far.
        try check(SSL_CTX_check_private_key(pointer), .pair, "the key is not the certificate's")
    }

    private func check(_ result: Int32, _ part: TLSError.Part, _ otherwise: String) throws(TLSError) {
        if result != 1 { throw .last(part, otherwise: otherwise) }
    }
}
