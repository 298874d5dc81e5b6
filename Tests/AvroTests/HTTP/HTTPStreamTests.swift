import Foundation
import HTTPClient
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct HTTPStreamTests {
    private static let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    private static func chunk(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }

    /// Each chunk can be read before the next is sent.
    @Test func chunksArriveAsTheyAreSent() async throws {
        let permits = DispatchSemaphore(value: 0)
        let server = try ScriptedServer { _, connection in
            connection.send(Self.head)
            for text in ["one", "two", "three"] {
                permits.wait()
                connection.send(Self.chunk(text))
            }
            connection.send("0\r\n\r\n")
            return true
        }
        let client = HTTPClient()
        let stream = try await client.stream(HTTPRequest(url: server.url))
        #expect(stream.head.status == 200)
        #expect(stream.head.header("content-type") == "text/event-stream")
        var texts: [String] = []
        permits.signal()
        for try await bytes in stream.body {
            texts.append(String(decoding: bytes, as: UTF8.self))
            permits.signal()
        }
        #expect(texts == ["one", "two", "three"])
        await client.close()
        server.stop()
    }

    /// A reader that does not read holds the sender back, and gets everything in the end.
    @Test func backPressure() async throws {
        let total = 64 << 20
        let sent = Mutex(0)
        let server = try ScriptedServer { _, connection in
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            let block = [UInt8](repeating: 7, count: 1 << 16)
            for _ in 0..<(total / block.count) {
                guard connection.send(block) else { return false }
                sent.withLock { $0 += block.count }
            }
            return true
        }
        let client = HTTPClient()
        let stream = try await client.stream(HTTPRequest(url: server.url))
        // The sender stands still once the socket buffers are full.
        var last = -1
        var unchanged = 0
        try await eventually("the sender stands still") {
            let now = sent.withLock { $0 }
            unchanged = now == last ? unchanged + 1 : 0
            last = now
            return unchanged >= 40
        }
        #expect(last < total / 2, "\(last) bytes were sent though nobody reads")
        var received = 0
        for try await bytes in stream.body {
            #expect(bytes.count <= 512 << 10)
            received += bytes.count
        }
        #expect(received == total)
        await client.close()
        server.stop()
    }

    @Test func brokenBodyThrowsAfterWhatArrived() async throws {
        let server = try ScriptedServer { _, connection in
            connection.send(Self.head + Self.chunk("part"))
            return false
        }
        let client = HTTPClient()
        let stream = try await client.stream(HTTPRequest(url: server.url))
        var received: [UInt8] = []
        var failure: HTTPError?
        do {
            for try await bytes in stream.body { received += bytes }
        } catch {
            failure = error
        }
        #expect(received == Array("part".utf8))
        #expect(failure?.kind == .cut)
        await client.close()
        server.stop()
    }

    @Test func droppingTheStreamClosesTheConnection() async throws {
        let isClosed = Mutex(false)
        let server = try ScriptedServer { _, connection in
            connection.send(Self.head + Self.chunk("x"))
            connection.awaitClose()
            isClosed.withLock { $0 = true }
            return false
        }
        let client = HTTPClient()
        do {
            let stream = try await client.stream(HTTPRequest(url: server.url))
            for try await bytes in stream.body {
                #expect(bytes == [UInt8(ascii: "x")])
                break
            }
        }
        try await eventually("the server sees the connection close") { isClosed.withLock { $0 } }
        await client.close()
        server.stop()
    }

    @Test func cancellationWhileReading() async throws {
        let server = try ScriptedServer { _, connection in
            connection.send(Self.head + Self.chunk("x"))
            connection.awaitClose()
            return false
        }
        let client = HTTPClient()
        let chunks = Chunks()
        let error = await withTaskGroup(of: HTTPError?.self) { group in
            group.addTask { await chunks.collect(client, HTTPRequest(url: server.url)) }
            try? await eventually("the first chunk was read") { !chunks.received.isEmpty }
            group.cancelAll()
            return await group.next() ?? nil
        }
        #expect(error?.kind == .cancelled)
        await client.close()
        server.stop()
    }

    @Test func failureBeforeTheHead() async throws {
        let server = try ScriptedServer { _, _ in false }
        let client = HTTPClient()
        let error = await #expect(throws: HTTPError.self) { try await client.stream(HTTPRequest(url: server.url)) }
        #expect(error?.kind == .emptyReply)
        await client.close()
        server.stop()
    }

    /// An error status is a response like any other; its body can be read.
    @Test func errorStatus() async throws {
        let server = try ScriptedServer { _, connection in
            connection.respond(429, headers: "Retry-After: 3\r\n", "slow down")
            return true
        }
        let client = HTTPClient()
        let stream = try await client.stream(HTTPRequest(url: server.url))
        #expect(stream.head.status == 429)
        #expect(stream.head.header("retry-after") == "3")
        var body: [UInt8] = []
        for try await bytes in stream.body { body += bytes }
        #expect(body == Array("slow down".utf8))
        await client.close()
        server.stop()
    }

    /// What a task has read of a body so far.
    private final class Chunks: Sendable {
        private let bytes = Mutex<[UInt8]>([])

        var received: [UInt8] { bytes.withLock { $0 } }

        func collect(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError? {
            do throws(HTTPError) {
                let stream = try await client.stream(request)
                for try await chunk in stream.body { bytes.withLock { $0 += chunk } }
                return nil
            } catch {
                return error
            }
        }
    }
}
