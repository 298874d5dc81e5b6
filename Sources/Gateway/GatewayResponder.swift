import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import OrchestraCore
import ServiceLifecycle
import Silo

/// Every request of a gateway: finds its route, runs it, and makes a problem document of whatever goes wrong.
struct GatewayResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    let trigger: TriggerEndpoint
    let status: StatusEndpoint
    let definitions: [WorkflowDefinition]
    /// What keeps this node from doing its work: nothing when it is ready.
    let obstacles: @Sendable () -> [String]
    /// The list of the cluster's members as JSON; `nil` for a gateway that is no member itself.
    let members: (@Sendable () async throws -> [UInt8])?
    /// Where the partitions are, as JSON; `nil` for a gateway that is no member itself.
    let placement: (@Sendable () async throws -> [UInt8])?
    /// What `GET /metrics` answers.
    let metricsPage: MetricsPage?
    let metrics: GatewayMetrics
    let logger: Logger

    func respond(to request: Request, context: Context) async throws -> Response {
        let start = ContinuousClock.now
        var name = "none"
        var response: Response
        do {
            let route = try Route(method: request.method, path: request.uri.path)
            name = route.name
            response = try await answer(request, route)
        } catch let problem as Problem {
            response = problem.response(path: request.uri.path)
        } catch let error as OrchestraError {
            response = Problem(error).response(path: request.uri.path)
        } catch is CancellationError {
            response = Problem(
                .serviceUnavailable, "unavailable", "this gateway is shutting down", nextStep: "ask another one",
                retryAfter: 1
            ).response(path: request.uri.path)
        } catch let error as HTTPParserError {
            // The rest of the request is not HTTP: the server answers 400 and closes.
            throw error
        } catch {
            // Mostly a connection that broke within a body, which nobody will read this on.
            logger.warning("a request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            response = Problem(.internalServerError, "internalError", "the request failed on our side")
                .response(path: request.uri.path)
        }
        metrics.record(route: name, status: response.status.code, took: .now - start)
        if request.method == .head { response.body = ResponseBody() }
        return response
    }

    private func answer(_ request: Request, _ route: Route) async throws -> Response {
        switch route {
        case .trigger:
            return try await trigger.respond(to: request)
        case .status(let workflowID):
            let wait = try WaitParameter.read(query: request.uri.query, maximum: status.limits.maximumWait)
            return try await status.status(of: workflowID, wait: wait)
        case .cancel(let workflowID):
            return try await status.cancel(workflowID)
        case .definitions:
            return .json(.ok, .object([("workflows", .array(definitions.map(\.json)))]))
        case .members: return try await describe(members)
        case .placement: return try await describe(placement)
        case .metrics:
            guard let page = metricsPage else { throw Problem(.notFound, "notFound", "this gateway tells no metrics") }
            return .encoded(.ok, ByteBuffer(string: page.text()), contentType: page.contentType)
        case .live:
            return .json(.ok, .object([("status", .string("live"))]))
        case .ready:
            return try ready()
        }
    }

    /// Of what a gateway can tell only as a member of a cluster.
    private func describe(_ json: (@Sendable () async throws -> [UInt8])?) async throws -> Response {
        guard let json else { throw Problem(.notFound, "notFound", "this gateway is no member of a cluster") }
        return .encoded(.ok, ByteBuffer(bytes: try await json()))
    }

    private func ready() throws(Problem) -> Response {
        let missing = Task.isShuttingDownGracefully ? ["this gateway is shutting down"] : obstacles()
        guard !missing.isEmpty else { return .json(.ok, .object([("status", .string("ready"))])) }
        var problem = Problem(
            .serviceUnavailable, "unavailable", "not ready: \(missing.joined(separator: "; "))", retryAfter: 1)
        problem.members = [("missing", .array(missing.map(JSONOutput.string)))]
        throw problem
    }
}

extension WorkflowDefinition {
    fileprivate var json: JSONOutput {
        .object([
            ("name", .string(name)),
            (
                "steps",
                .array(
                    steps.map { step in
                        .object([
                            ("agent", .string(step.agent)),
                            ("deadlineSeconds", .integer(Int(step.deadline.components.seconds))),
                        ])
                    })
            ),
        ])
    }
}
