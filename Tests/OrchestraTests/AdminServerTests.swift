import Foundation
import HTTPClient
import Logging
import ServiceLifecycle
import Testing
import Transport

@testable import Orchestra

/// The small HTTP port of nodes that are no gateways.
@Suite struct AdminServerTests {
    private func withServer(
        members: @escaping @Sendable () async throws -> [UInt8], _ body: (String, HTTPClient) async throws -> Void
    ) async throws {
        let server = AdminServer(
            listen: HostAndPort(host: "127.0.0.1", port: 0),
            pages: ["/v1/cluster/members": AdminServer.Page(make: members)],
            logger: Logger(label: "test"))
        let http = HTTPClient()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            try await body("http://\(try await server.address())", http)
            group.cancelAll()
        }
        await http.close()
    }

    @Test func itAnswersTheListAndNothingElse() async throws {
        try await withServer(members: { Array(#"{"members":[]}"#.utf8) }) { url, http in
            let list = try await http.send(HTTPRequest(url: url + "/v1/cluster/members?x=1", timeout: .seconds(10)))
            #expect(list.status == 200)
            #expect(String(decoding: list.body, as: UTF8.self) == #"{"members":[]}"#)
            let live = try await http.send(HTTPRequest(url: url + "/health/live", timeout: .seconds(10)))
            #expect(live.status == 200)
            let other = try await http.send(HTTPRequest(url: url + "/", timeout: .seconds(10)))
            #expect(other.status == 404)
            let post = HTTPRequest(method: "POST", url: url + "/v1/cluster/members", body: [1], timeout: .seconds(10))
            let refused = try await http.send(post)
            #expect(refused.status == 405)
        }
    }

    @Test func aNodeThatCannotJoinSaysSo() async throws {
        try await withServer(members: { throw CancellationError() }) { url, http in
            let request = HTTPRequest(url: url + "/v1/cluster/members", timeout: .seconds(10))
            let refused = try await http.send(request)
            #expect(refused.status == 503)
        }
    }
}
