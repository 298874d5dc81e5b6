/// An HTTP request as ``HTTPClient`` sends it.
public struct HTTPRequest: Sendable {
    /// `GET`, `POST`, …
    public var method: String
    /// An absolute `http` or `https` URL.
    public var url: String
    /// In the order in which they are sent; a name may occur more than once.
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// How long connecting (name resolution and TLS included) may take.
    public var connectTimeout: Duration
    /// How long the whole exchange may take, the body included.
    public var timeout: Duration

    /// - Parameters:
    ///   - method: the request method.
    ///   - url: an absolute `http` or `https` URL.
    ///   - headers: header fields in order.
    ///   - body: sent when it is not empty, or when the method is `POST`, `PUT` or `PATCH`.
    ///   - connectTimeout: how long connecting may take; 5 s unless given.
    ///   - timeout: how long the whole exchange may take; 30 s unless given.
    public init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        connectTimeout: Duration = .seconds(5), timeout: Duration = .seconds(30)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.connectTimeout = connectTimeout
        self.timeout = timeout
    }
}

/// Status and header fields of a response.
public struct HTTPResponseHead: Sendable {
    public var status: Int
    /// In the order of arrival.
    public var headers: [(name: String, value: String)]

    public init(status: Int, headers: [(name: String, value: String)]) {
        self.status = status
        self.headers = headers
    }

    /// The first value of a header field.
    ///
    /// - Parameter name: compared without regard to case.
    public func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }
}

/// A whole response.
public struct HTTPResponse: Sendable {
    public var head: HTTPResponseHead
    public var body: [UInt8]

    public var status: Int { head.status }
    public var headers: [(name: String, value: String)] { head.headers }

    public init(head: HTTPResponseHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }

    /// The first value of a header field, whatever the case of its name.
    public func header(_ name: String) -> String? { head.header(name) }
}
