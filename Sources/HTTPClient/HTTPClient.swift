/// An HTTP client over libcurl: one thread drives every exchange, connections are kept alive and shared.
///
/// Redirects are not followed. Proxies come from the environment as curl reads it (`http_proxy`, `https_proxy`,
/// `no_proxy`), but never for the loopback interface. An exchange that is cancelled closes at once.
public final class HTTPClient: Sendable {
    public struct Configuration: Sendable {
        /// The largest body that ``HTTPClient/send(_:)`` collects, in bytes.
        public var maximumResponseSize: Int
        /// How many exchanges may be under way; more fail at once with `overloaded`.
        public var maximumConcurrentRequests: Int
        /// How many connections to one host may be open; more exchanges wait for one of them.
        public var maximumConnectionsPerHost: Int
        /// How much of a streamed body may wait for its reader, in bytes, before the sender is held back.
        public var streamBufferSize: Int
        public var userAgent: String

        /// - Parameters:
        ///   - maximumResponseSize: 16 MiB unless given.
        ///   - maximumConcurrentRequests: 1,024 unless given.
        ///   - maximumConnectionsPerHost: 64 unless given.
        ///   - streamBufferSize: 256 KiB unless given.
        ///   - userAgent: the `User-Agent` of requests that do not bring their own.
        public init(
            maximumResponseSize: Int = 16 << 20, maximumConcurrentRequests: Int = 1024,
            maximumConnectionsPerHost: Int = 64, streamBufferSize: Int = 256 << 10, userAgent: String = "orchestra"
        ) {
            self.maximumResponseSize = maximumResponseSize
            self.maximumConcurrentRequests = maximumConcurrentRequests
            self.maximumConnectionsPerHost = maximumConnectionsPerHost
            self.streamBufferSize = streamBufferSize
            self.userAgent = userAgent
        }
    }

    private let configuration: Configuration
    private let worker: CurlWorker

    /// Starts the client's thread.
    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        worker = CurlWorker(configuration)
        worker.start()
    }

    deinit { worker.stop() }

    /// Sends a request and collects the response, whatever its status.
    ///
    /// - Throws: ``HTTPError``; `tooLarge` when the body exceeds the configured bound, `cancelled` when the task is.
    public func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        let collector = ResponseCollector(maximumSize: configuration.maximumResponseSize)
        let transfer = Transfer(request, receiver: collector)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                collector.setContinuation(continuation)
                worker.submit(transfer)
            }
        } onCancel: {
            worker.cancel(transfer)
        }
        return try result.get()
    }

    /// Sends a request and returns as soon as the head of the response is there.
    ///
    /// The body arrives as it is read: when the reader falls behind, the sender is held back. Dropping the stream
    /// ends the exchange. The request's timeout covers the whole body.
    ///
    /// - Throws: ``HTTPError``, also from the body's iteration.
    public func stream(_ request: HTTPRequest) async throws(HTTPError) -> HTTPStream {
        let buffer = StreamBuffer(capacity: configuration.streamBufferSize)
        let transfer = Transfer(request, receiver: buffer)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                buffer.setHeadContinuation(continuation)
                worker.submit(transfer)
            }
        } onCancel: {
            worker.cancel(transfer)
        }
        return HTTPStream(head: try result.get(), body: HTTPBody(StreamOwner(worker, transfer, buffer)))
    }

    /// Ends every exchange with `cancelled`, closes all connections and waits for the thread to end.
    /// Later requests fail with `cancelled`.
    public func close() async {
        await withCheckedContinuation { continuation in worker.stop { continuation.resume() } }
    }
}
