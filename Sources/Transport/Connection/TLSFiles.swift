import NIOCore
import OrchestraCore
import TLS

/// The PEM files of a node for TLS between nodes. Both sides show a certificate that the other's trust roots signed.
///
/// Names in certificates are not compared with addresses: the trust roots are the cluster's own, a node is known by its
/// node id, and it may move. TLS 1.3 only.
package struct TLSFiles: Sendable, Hashable {
    /// This node's certificate, followed by intermediate ones if there are any.
    package var certificate: String
    /// The certificate's private key.
    package var key: String
    /// The certificates that sign those of this cluster's nodes.
    package var trustRoots: String

    package init(certificate: String, key: String, trustRoots: String) {
        self.certificate = certificate
        self.key = key
        self.trustRoots = trustRoots
    }

    /// - Throws: ``OrchestraError`` with `badConfiguration` that names the file that cannot be used.
    func contexts() throws(OrchestraError) -> TLSContexts {
        do throws(TLSError) {
            return TLSContexts(server: try context(.server), client: try context(.client))
        } catch {
            throw OrchestraError(
                .badConfiguration, "the TLS \(what(error.part)) cannot be used: \(error)",
                nextStep: "give PEM files: a certificate, its private key, and the certificates that sign the nodes'",
                cause: error)
        }
    }

    private func context(_ side: TLSContext.Side) throws(TLSError) -> TLSContext {
        try TLSContext(side, certificate: certificate, key: key, trustRoots: trustRoots)
    }

    private func what(_ part: TLSError.Part) -> String {
        switch part {
        case .certificate: "certificate \(certificate)"
        case .key: "private key \(key)"
        case .trustRoots: "trust roots \(trustRoots)"
        case .pair: "pair of certificate \(certificate) and private key \(key)"
        case .library, .connection: "library of this machine"
        }
    }
}

struct TLSContexts: Sendable {
    let server: TLSContext
    let client: TLSContext
}

/// Stands before TLS in an accepted connection and looks at its first byte, so that a peer that does not speak TLS
/// hears so instead of an alert that it cannot read.
///
/// `@unchecked Sendable`: touched on the channel's event loop only.
final class TLSDetector: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    /// The type of TLS's handshake records.
    private static let handshakeRecord: UInt8 = 0x16

    private let plainTextSeen: () -> Void
    private var isRefused = false

    /// - Parameter plainTextSeen: called when the peer does not speak TLS, after the refusal was written.
    init(plainTextSeen: @escaping () -> Void) {
        self.plainTextSeen = plainTextSeen
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused else { return }
        let bytes = unwrapInboundIn(data)
        if bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) == TLSDetector.handshakeRecord {
            context.fireChannelRead(data)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            return
        }
        isRefused = true
        var refusal = ByteBuffer()
        Refusal(WireError(.badTLS, "this node speaks TLS only, and the dialing node is not configured for it"))
            .write(to: &refusal)
        // From here on outwards there is no TLS handler in the way.
        context.writeAndFlush(NIOAny(refusal), promise: nil)
        plainTextSeen()
    }
}
