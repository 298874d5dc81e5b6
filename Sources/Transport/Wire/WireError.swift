/// What a peer sent that the protocol does not allow, or why two nodes do not talk. It ends the connection and nothing
/// else.
package struct WireError: Error, Sendable, Hashable, CustomStringConvertible {
    /// For counting; one metric label each. The raw value crosses the wire in a ``Refusal``.
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
        /// The peer does not know the cluster secret, or only one of the two has one.
        case wrongSecret
        /// One side speaks TLS and the other does not, or their certificates do not please each other.
        case badTLS
        /// Another node answers at this address than the one that was dialed.
        case wrongNode
        /// This node dialed itself.
        case itself
        /// The two nodes have, or are about to have, another connection for the same purpose.
        case duplicate
        /// A node that has been restarted since.
        case staleGeneration
        /// The peer has too many connections.
        case tooMany
        /// The peer is shutting down.
        case leaving
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

    /// Whether it is the peer's fault, and worth a warning; the others are part of a cluster's life.
    var isViolation: Bool {
        switch kind {
        case .duplicate, .leaving, .itself, .staleGeneration: false
        default: true
        }
    }
}
