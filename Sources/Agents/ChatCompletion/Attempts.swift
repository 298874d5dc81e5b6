import HTTPClient

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Why one attempt to get an answer failed, and what the server says about trying again.
struct AttemptFailure: Error {
    var error: KernelError
    var serverDelay: Duration?

    init(_ error: KernelError) { self.error = error }

    init(_ error: HTTPError) {
        switch error.kind {
        case .cancelled:
            self.error = KernelError(.cancelled, "the request to the model server was cancelled", cause: error)
        case .tooLarge:
            self.error = KernelError(.badResponse, "the model server: \(error.message)", cause: error)
        default:
            self.error = KernelError(
                .connectionFailed, "the model server cannot be reached: \(error.message)",
                nextStep: "check OPENAI_BASE_URL and the network", cause: error, isRetriable: error.isRetriable)
        }
    }

    init(_ head: HTTPResponseHead, body: [UInt8]) {
        if let document = try? JSONValue(parsing: body),
            let failure = OpenAIResponseBody.failure(in: document, status: head.status)
        {
            error = failure
        } else {
            let text = String(decoding: body.prefix(500), as: UTF8.self)
            error = OpenAIResponseBody.failure(text.isEmpty ? "(no message)" : text, status: head.status, kind: "")
        }
        if let word = head.header("x-should-retry") {
            error.isRetriable = RetryPolicy.isRetriable(status: head.status, shouldRetry: word)
        }
        serverDelay = RetryPolicy.serverDelay(
            milliseconds: head.header("retry-after-ms"), retryAfter: head.header("retry-after"),
            now: Date().timeIntervalSince1970)
    }
}

/// Counts the attempts of one request and waits between them.
struct Attempts {
    private let policy: RetryPolicy
    private let deadline: ContinuousClock.Instant?
    private var attempt = 1

    init(_ policy: RetryPolicy, _ timeLeft: Duration?) {
        self.policy = policy
        deadline = timeLeft.map { ContinuousClock.now.advanced(by: $0) }
    }

    /// How long the caller still waits; `nil`: without limit.
    var timeLeft: Duration? { deadline.map { ContinuousClock.now.duration(to: $0) } }

    /// Returns when it is time for the next attempt.
    ///
    /// - Throws: the attempt's error if there shall be no other.
    mutating func wait(after error: any Error) async throws(KernelError) {
        let failure = error as? AttemptFailure ?? AttemptFailure(KernelError.wrapping(error, in: "asking the model"))
        let delay = policy.delay(
            after: attempt, serverDelay: failure.serverDelay, timeLeft: timeLeft, jitter: .random(in: 0...1))
        guard failure.error.isRetriable, let delay else {
            var error = failure.error
            if attempt > 1 { error.message += " (after \(attempt) attempts)" }
            throw error
        }
        attempt += 1
        do {
            try await Task.sleep(for: delay)
        } catch {
            throw KernelError(.cancelled, "cancelled while waiting to ask the model again")
        }
    }
}
