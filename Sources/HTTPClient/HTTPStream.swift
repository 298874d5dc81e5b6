/// A response whose body is still arriving.
public struct HTTPStream: Sendable {
    public let head: HTTPResponseHead
    public let body: HTTPBody
}

/// The body of a streamed response: chunks of at least one byte, as they arrive. It can be read once.
public struct HTTPBody: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = HTTPError

    private let owner: StreamOwner

    init(_ owner: StreamOwner) { self.owner = owner }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let owner: StreamOwner

        /// - Returns: the bytes that arrived since the last call; `nil` once the body has ended properly.
        /// - Throws: ``HTTPError`` when the body broke off, the time is over or the task was cancelled.
        public mutating func next() async throws(HTTPError) -> [UInt8]? { try await owner.next() }

        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(HTTPError) -> [UInt8]? { try await owner.next() }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(owner: owner) }
}

/// Ends the exchange when nobody can read its body any more.
final class StreamOwner: Sendable {
    private let worker: CurlWorker
    private let transfer: Transfer
    private let buffer: StreamBuffer

    init(_ worker: CurlWorker, _ transfer: Transfer, _ buffer: StreamBuffer) {
        self.worker = worker
        self.transfer = transfer
        self.buffer = buffer
    }

    deinit { worker.cancel(transfer) }

    func next() async throws(HTTPError) -> [UInt8]? {
        let taken = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in buffer.take(continuation) }
        } onCancel: {
            worker.cancel(transfer)
        }
        if taken.resumeSender { worker.resume(transfer) }
        return try taken.result.get()
    }
}
