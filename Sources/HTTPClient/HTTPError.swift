/// Why an exchange failed before a whole response was there. A response with an error status is no `HTTPError`.
public struct HTTPError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// The name did not resolve, or nobody answered at the address in time.
        case connect
        /// The time for the whole exchange has passed.
        case timedOut
        /// The connection broke in the middle of the exchange.
        case cut
        /// The connection closed without a response.
        case emptyReply
        /// The response is larger than the client's limit.
        case tooLarge
        /// The TLS handshake or the certificate was refused.
        case tls
        /// As many requests as the client allows are under way already.
        case overloaded
        /// The task was cancelled, or the client closed.
        case cancelled
        /// The request cannot be sent as it is: a bad URL, or a header with a line break.
        case invalidRequest
        case other
    }

    public var kind: Kind
    /// libcurl's error number; 0 when the failure did not come from libcurl.
    public var curlCode: Int
    public var message: String

    public init(_ kind: Kind, curlCode: Int = 0, _ message: String) {
        self.kind = kind
        self.curlCode = curlCode
        self.message = message
    }

    /// Whether the same request may succeed when it is sent again. For requests that are not idempotent the caller
    /// must know whether a repetition does harm.
    public var isRetriable: Bool {
        switch kind {
        case .connect, .timedOut, .cut, .emptyReply, .overloaded: true
        case .tooLarge, .tls, .cancelled, .invalidRequest, .other: false
        }
    }

    public var description: String { message }
}
