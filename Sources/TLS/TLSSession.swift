import COpenSSL
package import NIOCore

/// One TLS connection without any I/O: what came from the peer goes in through ``receive(_:)``, what the peer must get
/// comes out of ``takeOutput(allocator:)``. After an error, only the output (an alert) is of use.
package final class TLSSession {
    /// What ``read(into:)`` found.
    package enum ReadResult: Equatable, Sendable {
        /// It appended plain text; there may be more.
        case bytes
        /// All that came is read.
        case needsInput
        /// The peer has said that it sends no more.
        case closed
    }

    /// A record holds 16 KiB of plain text at most.
    private static let recordLength = 16 << 10
    /// How much is encrypted at once; what OpenSSL keeps of memory stays near it.
    private static let writeLength = 4 * recordLength

    private let connection: OpaquePointer
    // Both belong to the connection.
    private let input: OpaquePointer
    private let output: OpaquePointer

    /// - Throws: ``TLSError`` when there is no memory for it.
    package init(_ context: TLSContext) throws(TLSError) {
        ERR_clear_error()
        guard let connection = SSL_new(context.pointer) else { throw .last(.library, otherwise: "no memory for TLS") }
        guard let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            // The first one would leak here, in a process without memory.
            SSL_free(connection)
            throw .last(.library, otherwise: "no memory for TLS")
        }
        SSL_set_bio(connection, input, output)
        switch context.side {
        case .client: SSL_set_connect_state(connection)
        case .server: SSL_set_accept_state(connection)
        }
        (self.connection, self.input, self.output) = (connection, input, output)
    }

    deinit { SSL_free(connection) }

    // MARK: Ciphertext

    /// Takes bytes that came from the peer.
    package func receive(_ bytes: ByteBuffer) throws(TLSError) {
        ERR_clear_error()
        var written = 0
        let result = bytes.withUnsafeReadableBytes { bytes in
            bytes.isEmpty ? 1 : BIO_write_ex(input, bytes.baseAddress, bytes.count, &written)
        }
        if result != 1 { throw .last(.library, otherwise: "no memory for \(bytes.readableBytes) bytes of TLS") }
    }

    /// What the peer must get now; `nil` for nothing.
    package func takeOutput(allocator: ByteBufferAllocator) -> ByteBuffer? {
        let count = BIO_ctrl_pending(output)
        guard count > 0 else { return nil }
        var buffer = allocator.buffer(capacity: count)
        moveOutput(to: &buffer)
        return buffer
    }

    private func moveOutput(to buffer: inout ByteBuffer) {
        let count = BIO_ctrl_pending(output)
        guard count > 0 else { return }
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            var read = 0
            return BIO_read_ex(output, target.baseAddress, count, &read) == 1 ? read : 0
        }
    }

    // MARK: Handshake

    /// Goes on with the handshake as far as what came allows.
    ///
    /// - Returns: whether it is done. A client's is done before the server has looked at its certificate: a refusal
    ///   comes as an error of ``read(into:)``.
    /// - Throws: ``TLSError`` when it cannot succeed.
    package func shakeHands() throws(TLSError) -> Bool {
        ERR_clear_error()
        let result = SSL_do_handshake(connection)
        if result == 1 { return true }
        guard SSL_get_error(connection, result) == SSL_ERROR_WANT_READ else { throw failure() }
        return false
    }

    // MARK: Plain text

    /// Decrypts one record.
    package func read(into buffer: inout ByteBuffer) throws(TLSError) -> ReadResult {
        ERR_clear_error()
        var result: Int32 = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: TLSSession.recordLength) { target in
            var read = 0
            result = SSL_read_ex(connection, target.baseAddress, TLSSession.recordLength, &read)
            return result == 1 ? read : 0
        }
        if result == 1 { return .bytes }
        switch SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: throw failure()
        }
    }

    /// Encrypts, once the handshake is done.
    ///
    /// - Parameter bytes: plain text of any length.
    /// - Returns: what the peer must get for it, and for all that was said before.
    package func write(_ bytes: ByteBuffer, allocator: ByteBufferAllocator) throws(TLSError) -> ByteBuffer {
        var rest = bytes
        var encrypted = allocator.buffer(capacity: bytes.readableBytes + bytes.readableBytes / 128 + 64)
        while let chunk = rest.readSlice(length: min(rest.readableBytes, TLSSession.writeLength)),
            chunk.readableBytes > 0
        {
            ERR_clear_error()
            var written = 0
            let result = chunk.withUnsafeReadableBytes {
                SSL_write_ex(connection, $0.baseAddress, $0.count, &written)
            }
            // Memory takes it all, so there is nothing to wait for.
            guard result == 1, written == chunk.readableBytes else { throw failure() }
            moveOutput(to: &encrypted)
        }
        return encrypted
    }

    /// Tells the peer that no more comes, once the handshake is done.
    package func close() {
        ERR_clear_error()
        // 0: the peer has not said so yet. It need not.
        _ = SSL_shutdown(connection)
    }

    private func failure() -> TLSError {
        let verdict = SSL_get_verify_result(connection)
        let error = TLSError.last(.connection, otherwise: "TLS failed")
        guard verdict != Int(X509_V_OK) else { return error }
        return TLSError(
            .connection, "\(error.message): \(String(cString: X509_verify_cert_error_string(verdict)))")
    }
}
