import Foundation
import HTTPClient
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct HTTPClientTests {
    private func failure(
        _ client: HTTPClient, _ request: HTTPRequest
    ) async -> HTTPError? {
        do {
            _ = try await client.send(request)
            return nil
        } catch {
            return error
        }
    }

    @Test func sendsAndCollects() async throws {
        let server = try ScriptedServer { request, connection in
            connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            connection.respond(
                201,
                headers: "X-Seen: \(request.method) \(request.target) \(request.headers["x-a"] ?? "-")\r\nx-empty:\r\n",
                String(decoding: request.body, as: UTF8.self))
            return true
        }
        let client = HTTPClient()
        let request = HTTPRequest(
            method: "POST", url: server.url + "/p?q=1", headers: [("X-A", "b"), ("X-Empty", "")],
            body: Array("häh\0".utf8))
        let response = try await client.send(request)
        #expect(response.status == 201)
        #expect(response.header("x-SEEN") == "POST /p?q=1 b")
        #expect(response.header("X-Empty") == "")
        #expect(response.body == Array("häh\0".utf8))
        let seen = try #require(server.requests.first)
        #expect(seen.headers["x-empty"] == "")
        #expect(seen.headers["content-type"] == nil)
        #expect(seen.headers["expect"] == nil)
        #expect(seen.headers["user-agent"] == "orchestra")
        await client.close()
        server.stop()
    }

    @Test(arguments: ["GET", "DELETE", "PUT", "POST", "PATCH", "HEAD"])
    func methods(_ method: String) async throws {
        let server = try ScriptedServer { request, connection in
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(request.method == "HEAD" ? 5 : 0)\r\n\r\n")
        }
        let client = HTTPClient()
        let response = try await client.send(HTTPRequest(method: method, url: server.url))
        #expect(response.body.isEmpty)
        #expect(server.requests.map(\.method) == [method])
        if ["PUT", "POST", "PATCH"].contains(method) { #expect(server.requests[0].headers["content-length"] == "0") }
        await client.close()
        server.stop()
    }

    @Test func keepsConnections() async throws {
        let server = try ScriptedServer { _, connection in
            connection.respond(200, "x")
            return true
        }
        let client = HTTPClient()
        for _ in 0..<20 { #expect(try await client.send(HTTPRequest(url: server.url)).status == 200) }
        #expect(server.connections == 1)
        await client.close()
        server.stop()
    }

    @Test func manyAtOnce() async throws {
        let server = try ScriptedServer { request, connection in
            connection.respond(200, request.target)
            return true
        }
        let client = HTTPClient(HTTPClient.Configuration(maximumConnectionsPerHost: 8))
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<200 {
                group.addTask {
                    let response = try await client.send(HTTPRequest(url: "\(server.url)/\(index)"))
                    return response.body == Array("/\(index)".utf8)
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
        #expect(server.connections <= 8)
        await client.close()
        server.stop()
    }

    @Test func failuresHaveKinds() async throws {
        let server = try ScriptedServer { request, connection in
            switch request.target {
            case "/cut": connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            case "/empty": break
            case "/large": connection.respond(200, String(repeating: "x", count: 5000))
            case "/slow":
                connection.awaitClose()
            default: connection.respond(404)
            }
            return false
        }
        let client = HTTPClient(HTTPClient.Configuration(maximumResponseSize: 4096))
        #expect(await failure(client, HTTPRequest(url: server.url + "/cut"))?.kind == .cut)
        #expect(await failure(client, HTTPRequest(url: server.url + "/cut"))?.curlCode == 18)
        #expect(await failure(client, HTTPRequest(url: server.url + "/empty"))?.curlCode == 52)
        #expect(await failure(client, HTTPRequest(url: server.url + "/empty"))?.kind == .emptyReply)
        #expect(await failure(client, HTTPRequest(url: server.url + "/large"))?.kind == .tooLarge)
        let slow = await failure(client, HTTPRequest(url: server.url + "/slow", timeout: .milliseconds(100)))
        #expect(slow?.kind == .timedOut)
        #expect(slow?.isRetriable == true)
        let https = server.url.replacingOccurrences(of: "http:", with: "https:")
        #expect(await failure(client, HTTPRequest(url: https))?.kind == .tls)
        server.stop()
        let closed = try ScriptedServer { _, _ in false }
        closed.stop()
        var refused: HTTPError?
        while refused?.kind != .connect { refused = await failure(client, HTTPRequest(url: closed.url)) }
        #expect(refused?.isRetriable == true)
        #expect(await failure(client, HTTPRequest(url: "http://host.invalid/"))?.kind == .connect)
        await client.close()
    }

    @Test func messagesKeepSecrets() async throws {
        let client = HTTPClient()
        let error = await failure(client, HTTPRequest(url: "http://me:secret@127.0.0.1:1/a?token=secret"))
        #expect(error?.message.hasPrefix("GET http://127.0.0.1:1/a: ") == true)
        #expect(error?.message.contains("secret") == false)
        await client.close()
    }

    @Test func refusesWhatCannotBeSent() async throws {
        let client = HTTPClient()
        let url = "http://127.0.0.1:1/"
        for request in [
            HTTPRequest(url: url, headers: [("A", "b\r\nC: d")]), HTTPRequest(url: url, headers: [("A\r\n", "b")]),
            HTTPRequest(url: url, headers: [("", "b")]), HTTPRequest(url: "file:///etc/hostname"), HTTPRequest(url: ""),
            HTTPRequest(url: "http://"), HTTPRequest(method: "GET /", url: url), HTTPRequest(url: "http://a\0b/"),
        ] {
            #expect(await failure(client, request)?.kind == .invalidRequest, "\(request)")
        }
        await client.close()
    }

    @Test func cancellationClosesTheConnection() async throws {
        let isClosed = Mutex(false)
        let server = try ScriptedServer { _, connection in
            connection.awaitClose()
            isClosed.withLock { $0 = true }
            return false
        }
        let client = HTTPClient()
        let result = await withTaskGroup(of: HTTPError?.self) { group in
            group.addTask { await failure(client, HTTPRequest(url: server.url)) }
            try? await eventually("the request arrives") { !server.requests.isEmpty }
            group.cancelAll()
            return await group.next() ?? nil
        }
        #expect(result?.kind == .cancelled)
        try await eventually("the server sees the connection close") { isClosed.withLock { $0 } }
        await client.close()
        server.stop()
    }

    @Test func cancelledBeforeItStarts() async throws {
        let client = HTTPClient()
        let error = await withTaskGroup(of: HTTPError?.self) { group in
            group.cancelAll()
            group.addTask { await failure(client, HTTPRequest(url: "http://127.0.0.1:1/")) }
            return await group.next() ?? nil
        }
        #expect(error?.kind == .cancelled)
        await client.close()
    }

    @Test func refusesMoreThanItsBound() async throws {
        let server = try ScriptedServer { _, connection in
            connection.awaitClose()
            return false
        }
        let client = HTTPClient(HTTPClient.Configuration(maximumConcurrentRequests: 1))
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await failure(client, HTTPRequest(url: server.url)) }
            try? await eventually("the first request arrives") { !server.requests.isEmpty }
            #expect(await failure(client, HTTPRequest(url: server.url))?.kind == .overloaded)
            group.cancelAll()
        }
        // The place is free again.
        var error: HTTPError? = HTTPError(.overloaded, "")
        while error?.kind == .overloaded {
            error = await failure(client, HTTPRequest(url: server.url, timeout: .milliseconds(50)))
        }
        #expect(error?.kind == .timedOut)
        await client.close()
        server.stop()
    }

    @Test func closingEndsEverything() async throws {
        let server = try ScriptedServer { _, connection in
            connection.awaitClose()
            return false
        }
        let client = HTTPClient()
        await withTaskGroup(of: HTTPError?.self) { group in
            for _ in 0..<5 { group.addTask { await failure(client, HTTPRequest(url: server.url)) } }
            try? await eventually("the requests arrive") { server.requests.count == 5 }
            await client.close()
            for await error in group { #expect(error?.kind == .cancelled) }
        }
        #expect(await failure(client, HTTPRequest(url: server.url))?.kind == .cancelled)
        await client.close()
        server.stop()
    }
}
