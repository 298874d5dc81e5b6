import Avro
import HTTPClient
import Synchronization

/// A schema registry of a few lines: gives every new text the next id, and fails as often as it is told to.
final class ScriptedRegistry: Sendable {
    private struct State {
        var texts: [String] = []
        var failures: [Int] = []
    }

    let server: ScriptedServer
    let http = HTTPClient()

    init() throws {
        let state = Shared(State())
        self.state = state
        server = try ScriptedServer { request, connection in
            if let status = state.value.withLock({ $0.failures.popLast() }) {
                if status == 0 { return false }
                connection.respond(status, #"{"error_code": \#(status), "message": "as told"}"#)
                return true
            }
            ScriptedRegistry.answer(request, connection, state)
            return true
        }
    }

    /// `Mutex` cannot be captured by itself.
    private final class Shared: Sendable {
        let value: Mutex<State>

        init(_ state: consuming sending State) { value = Mutex(state) }
    }

    private let state: Shared

    var client: SchemaRegistryClient { client(unknownIDLifetime: .seconds(60)) }

    func client(unknownIDLifetime: Duration) -> SchemaRegistryClient {
        SchemaRegistryClient(
            SchemaRegistryClient.Configuration(
                url: server.url + "/", username: "me", password: "p:w", maximumAttempts: 3,
                firstPause: .milliseconds(1), unknownIDLifetime: unknownIDLifetime), http: http)
    }

    /// - Parameter statuses: what the next requests are answered with, the last first; 0 closes the connection.
    func fail(with statuses: [Int]) { state.value.withLock { $0.failures = statuses } }

    /// - Returns: the id of a schema that is there from the start.
    func add(_ text: String) -> Int32 {
        state.value.withLock { state in
            state.texts.append(text)
            return Int32(state.texts.count)
        }
    }

    func close() async {
        await http.close()
        server.stop()
    }

    private static func answer(
        _ request: ScriptedServer.Request, _ connection: ScriptedServer.Connection, _ state: Shared
    ) {
        if request.target.hasSuffix("/versions"), request.method == "POST",
            case .string(let text) = (try? JSONParser.parse(String(decoding: request.body, as: UTF8.self)))?["schema"]
        {
            let id = state.value.withLock { state in
                if let index = state.texts.firstIndex(of: text) { return index + 1 }
                state.texts.append(text)
                return state.texts.count
            }
            return connection.respond(200, #"{"id": \#(id)}"#)
        }
        if request.target == "/subjects/s/versions/latest" || request.target == "/subjects/s" {
            guard let text = state.value.withLock({ $0.texts.first }) else {
                return connection.respond(404, #"{"error_code": 40401, "message": "Subject 's' not found."}"#)
            }
            return connection.respond(
                200, #"{"subject": "s", "version": 1, "id": 1, "schema": \#(JSONValue.quoted(text))}"#)
        }
        if request.target == "/compatibility/subjects/s/versions/latest?verbose=true" {
            return connection.respond(200, #"{"is_compatible": false, "messages": ["one", "two"]}"#)
        }
        let id = request.target.split(separator: "/").last.flatMap { Int($0) } ?? 0
        let text = state.value.withLock { $0.texts.indices.contains(id - 1) ? $0.texts[id - 1] : nil }
        guard request.target.hasPrefix("/schemas/ids/"), let text else {
            return connection.respond(404, #"{"error_code": 40403, "message": "Schema \#(id) not found"}"#)
        }
        connection.respond(200, JSONValue.object([.init(name: "schema", value: .string(text))]).text())
    }
}
