import Testing

@testable import Agents

@Suite("Retries")
struct RetryPolicyTests {
    @Test("waits double up to the limit, less the jitter")
    func delays() {
        let policy = RetryPolicy(maximumAttempts: 100)
        func delay(_ attempt: Int, jitter: Double = 0) -> Duration? {
            policy.delay(after: attempt, serverDelay: nil, timeLeft: nil, jitter: jitter)
        }
        #expect(
            (1...6).map { delay($0) } == [
                .seconds(0.5), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(8),
            ])
        #expect(delay(1, jitter: 1) == .seconds(0.375))
        #expect(delay(99) == .seconds(8))
        #expect(delay(100) == nil)
    }

    @Test("the server's wait counts up to its limit, and only if there is time")
    func serverDelay() {
        let policy = RetryPolicy()
        #expect(policy.delay(after: 1, serverDelay: .seconds(120), timeLeft: nil, jitter: 1) == .seconds(120))
        #expect(policy.delay(after: 1, serverDelay: .seconds(121), timeLeft: nil, jitter: 0) == nil)
        #expect(policy.delay(after: 1, serverDelay: .seconds(3), timeLeft: .seconds(3), jitter: 0) == nil)
        #expect(policy.delay(after: 1, serverDelay: nil, timeLeft: .seconds(0.1), jitter: 0) == nil)
    }

    @Test("headers are read in their three forms")
    func headers() {
        #expect(RetryPolicy.serverDelay(milliseconds: "1500", retryAfter: "9", now: 0) == .seconds(1.5))
        #expect(RetryPolicy.serverDelay(milliseconds: "x", retryAfter: "2.5", now: 0) == .seconds(2.5))
        let date = "Sun, 06 Nov 1994 08:49:37 GMT"
        #expect(RetryPolicy.httpDate(date) == 784_111_777)
        #expect(RetryPolicy.httpDate("Thu, 29 Feb 2024 00:00:00 GMT") == 1_709_164_800)
        #expect(RetryPolicy.serverDelay(milliseconds: nil, retryAfter: date, now: 784_111_770) == .seconds(7))
        #expect(RetryPolicy.serverDelay(milliseconds: nil, retryAfter: date, now: 784_111_790) == .zero)
        for nonsense in ["", "soon", "nan", "Sun, 99 Nov 1994 08:49:37 GMT", "a b c d e GMT"] {
            #expect(RetryPolicy.serverDelay(milliseconds: nil, retryAfter: nonsense, now: 0) == nil)
        }
        #expect(RetryPolicy.serverDelay(milliseconds: nil, retryAfter: "-5", now: 0) == .zero)
        #expect(RetryPolicy.serverDelay(milliseconds: "1e300", retryAfter: nil, now: 0) == .seconds(1e9))
    }

    @Test("the status decides unless the server says otherwise")
    func statuses() {
        let retried = [200, 400, 401, 404, 408, 409, 422, 429, 500, 503].filter {
            RetryPolicy.isRetriable(status: $0, shouldRetry: nil)
        }
        #expect(retried == [408, 409, 429, 500, 503])
        #expect(RetryPolicy.isRetriable(status: 400, shouldRetry: "true"))
        #expect(!RetryPolicy.isRetriable(status: 500, shouldRetry: "False"))
    }
}

@Suite("Server-sent events")
struct ServerSentEventsTests {
    @Test("lines end in three ways and data joins", arguments: 1...9)
    func parsing(pieceSize: Int) throws {
        let bytes = Array("data: a\rdata:b\r\n\r\n:c\ndata\n\nid: 1\n\ndatax: no\ndata: \u{e9}\n\ndata: last".utf8)
        var events = ServerSentEvents()
        var texts: [String] = []
        for start in stride(from: 0, to: bytes.count, by: pieceSize) {
            let piece = Array(bytes[start..<min(start + pieceSize, bytes.count)])
            texts += try events.append(piece).map { String(decoding: $0, as: UTF8.self) }
        }
        texts += events.finish().map { String(decoding: $0, as: UTF8.self) }
        #expect(texts == ["a\nb", "", "\u{e9}", "last"])
    }

    @Test("an endless event breaks the stream")
    func endless() {
        var events = ServerSentEvents()
        #expect(throws: KernelError.self) {
            _ = try events.append(Array(repeating: UInt8(ascii: "x"), count: ServerSentEvents.maximumEventSize + 1))
        }
    }
}
