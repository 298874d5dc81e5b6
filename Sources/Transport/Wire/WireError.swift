/// What a peer sent that the protocol does not allow. It ends the connection and nothing else.
package struct WireError: Error, Sendable, Hashable, CustomStringConvertible {
    /// For counting; one metric label each.
    package enum Kind: String, Sendable, CaseIterable {
        /// A frame whose length is below its header or beyond the limit.
        case badLength
        /// A kind of frame that this version does not know, or that does not belong here.
        case badKind
        /// A frame that ends early, goes on too long, or holds values that are not allowed.
        case malformed
        /// Not an Orchestra peer, or one that speaks no common version.
        case incompatible
        /// A peer of another cluster.
        case wrongCluster
        /// The peer did not say anything in time.
        case silent
        /// The peer does not read what it asked for.
        case slowReader
    }

    package var kind: Kind
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { "\(kind.rawValue): \(message)" }
}
