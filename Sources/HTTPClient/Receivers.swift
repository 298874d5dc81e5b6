import Synchronization

/// Where a transfer's response goes. Called on the client's thread, in order; `finish` once and last.
protocol ResponseReceiver: AnyObject, Sendable {
    func receive(head: HTTPResponseHead)
    /// - Returns: what the sender shall do.
    func receive(body: UnsafeRawBufferPointer) -> BodyDirective
    func finish(_ error: HTTPError?)
}

enum BodyDirective {
    case taken
    /// Nothing was taken: send the same bytes again once the reader has caught up.
    case pause
    /// End the exchange with this error.
    case fail(HTTPError)
}

/// Collects a whole response of bounded size.
final class ResponseCollector: ResponseReceiver {
    private struct State {
        var head: HTTPResponseHead?
        var body: [UInt8] = []
        var continuation: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>?
    }

    private let maximumSize: Int
    private let state = Mutex(State())

    init(maximumSize: Int) { self.maximumSize = maximumSize }

    func setContinuation(_ continuation: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>) {
        state.withLock { $0.continuation = continuation }
    }

    func receive(head: HTTPResponseHead) {
        state.withLock { $0.head = head }
    }

    func receive(body: UnsafeRawBufferPointer) -> BodyDirective {
        state.withLock { state in
            guard body.count <= maximumSize - state.body.count else {
                return .fail(HTTPError(.tooLarge, "the response is larger than \(maximumSize) bytes"))
            }
            state.body.append(contentsOf: body)
            return .taken
        }
    }

    func finish(_ error: HTTPError?) {
        let (continuation, response) = state.withLock { state in
            let response = state.head.map { HTTPResponse(head: $0, body: state.body) }
            defer { state = State() }
            return (state.continuation, response)
        }
        if let response, error == nil {
            continuation?.resume(returning: .success(response))
        } else {
            continuation?.resume(returning: .failure(error ?? HTTPError(.emptyReply, "there was no response")))
        }
    }
}

/// Holds a bounded part of a streamed body until it is read.
final class StreamBuffer: ResponseReceiver {
    /// What one read gets, and whether the sender had been held back and may go on.
    struct Taken: Sendable {
        var result: Result<[UInt8]?, HTTPError>
        var resumeSender = false
    }

    private struct State {
        var headContinuation: CheckedContinuation<Result<HTTPResponseHead, HTTPError>, Never>?
        var reader: CheckedContinuation<Taken, Never>?
        var bytes: [UInt8] = []
        var isPaused = false
        /// Set when the exchange is over: `.success` for a complete body.
        var end: Result<Void, HTTPError>?
    }

    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) { self.capacity = max(capacity, 1) }

    func setHeadContinuation(_ continuation: CheckedContinuation<Result<HTTPResponseHead, HTTPError>, Never>) {
        state.withLock { $0.headContinuation = continuation }
    }

    func receive(head: HTTPResponseHead) {
        state.withLock { $0.headContinuation.take() }?.resume(returning: .success(head))
    }

    func receive(body: UnsafeRawBufferPointer) -> BodyDirective {
        guard !body.isEmpty else { return .taken }
        let (reader, directive) = state.withLock {
            state -> (CheckedContinuation<Taken, Never>?, BodyDirective) in
            if let reader = state.reader.take() { return (reader, .taken) }
            guard state.bytes.count < capacity else {
                state.isPaused = true
                return (nil, .pause)
            }
            state.bytes.append(contentsOf: body)
            return (nil, .taken)
        }
        reader?.resume(returning: Taken(result: .success(Array(body))))
        return directive
    }

    func finish(_ error: HTTPError?) {
        let (headContinuation, reader) = state.withLock { state in
            state.end = error.map { .failure($0) } ?? .success(())
            return (state.headContinuation.take(), state.reader.take())
        }
        headContinuation?.resume(returning: .failure(error ?? HTTPError(.emptyReply, "there was no response")))
        reader?.resume(returning: Taken(result: error.map { .failure($0) } ?? .success(nil)))
    }

    /// Reads what has arrived, or waits for it.
    func take(_ continuation: CheckedContinuation<Taken, Never>) {
        let taken = state.withLock { state -> Taken? in
            if !state.bytes.isEmpty {
                let bytes = state.bytes
                state.bytes = []
                let wasPaused = state.isPaused
                state.isPaused = false
                return Taken(result: .success(bytes), resumeSender: wasPaused)
            }
            if let end = state.end { return Taken(result: end.map { nil }) }
            guard state.reader == nil else {
                return Taken(result: .failure(HTTPError(.other, "two tasks read one body at the same time")))
            }
            state.reader = continuation
            return nil
        }
        if let taken { continuation.resume(returning: taken) }
    }
}
