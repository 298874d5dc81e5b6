import ArgumentParser
import Foundation
import Logging
import Orchestra
import OrchestraCore
import Transport

/// Where the silos of the cluster under test are, and how it is entered.
struct SiloOptions: ParsableArguments {
    @Option(help: "Every address at which a silo may be, now or later, separated by commas.")
    var silos: String

    @Option(help: "How long one attempt of a call may take, in milliseconds.")
    var attemptTimeout = 5000

    var peers: [HostAndPort] {
        get throws {
            try silos.split(separator: ",").map { address in
                let parts = address.split(separator: ":")
                guard parts.count == 2, let port = Int(parts[1]) else {
                    throw ValidationError("--silos \(silos): write host:port,host:port")
                }
                return HostAndPort(host: String(parts[0]), port: port)
            }
        }
    }

    /// Runs `body` with a client that sends each call to any silo to which it has a connection, whether or not that
    /// silo owns the grain: so forwarding is part of what is tested.
    func withCalls(_ body: @Sendable (SiloCalls) async throws -> Void) async throws {
        let peers = try peers
        let secret = ProcessInfo.processInfo.environment["ORCHESTRA_CLUSTER_SECRET"].flatMap { ClusterSecret($0) }
        var logger = Logger(label: "load")
        logger.logLevel = .critical
        let network = try PeerNetwork(
            PeerNetworkConfiguration(identity: CallClient.anonymous, secret: secret), takesGossip: false,
            logger: logger)
        let router = Router(peers: peers)
        let client = CallClient(owning: network, peers: peers, routing: { _ in router.choose() })
        router.use(client)
        let calls = SiloCalls(client: client, attemptTimeout: .milliseconds(attemptTimeout))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            defer { group.cancelAll() }
            while !router.isConnected { try await Task.sleep(for: .milliseconds(10)) }
            try await body(calls)
        }
    }
}

/// Grain calls, encoded, one attempt each.
struct SiloCalls: Sendable {
    let client: CallClient
    let attemptTimeout: Duration

    func send<C: GrainCommand>(
        _ command: C, to type: GrainType, key: String, requestID: String
    ) async throws(OrchestraError) -> C.Reply {
        let payload = try encode(command)
        return try await call(type, key, .command, C.name, payload, requestID)
    }

    func ask<Q: GrainQuery>(_ query: Q, of type: GrainType, key: String) async throws(OrchestraError) -> Q.Reply {
        let payload = try encode(query)
        return try await call(type, key, .query, Q.name, payload, UUID().uuidString)
    }

    private func call<Reply: Decodable>(
        _ type: GrainType, _ key: String, _ kind: GrainCallRequest.Kind, _ method: String, _ payload: [UInt8],
        _ requestID: String
    ) async throws(OrchestraError) -> Reply {
        let reply = try await client.handle(
            GrainCallRequest(
                requestID: requestID, grain: try GrainID(type: type, key: key), kind: kind, method: method,
                payload: payload, timeLeft: attemptTimeout))
        do {
            return try JSONDecoder().decode(Reply.self, from: Data(reply.payload))
        } catch {
            throw OrchestraError(.internalError, "reply \(String(decoding: reply.payload, as: UTF8.self)): \(error)")
        }
    }

    private func encode(_ message: some Encodable) throws(OrchestraError) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(message))
        } catch {
            throw OrchestraError(.internalError, "\(error)")
        }
    }
}
