import EventLog
import Membership
import OrchestraCore
import Placement
import Records
import SeededRandom
import Silo

/// Clients of the grains: commands that are repeated under their request ids until they are answered, queries, commands
/// that are refused, records, and calls of volatile grains. What they see goes into the ``History`` and the
/// ``BoardHistory``.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class Workload: @unchecked Sendable {
    private let world: VirtualWorld
    private let host: VirtualHost
    private let network: ModelNetwork
    private let kafka: ModelKafka
    private let settings: OwnershipSettings
    private let partitioner: Partitioner
    private let keys: [String]
    /// Of grains that began with a record.
    private var triggered: [String] = []
    let history: History
    let boards: BoardHistory
    private var isStopping = false
    private(set) var running = 0
    private var orders = 0

    init(_ settings: OwnershipSettings, _ network: ModelNetwork, _ kafka: ModelKafka, keyCount: Int) throws {
        (self.settings, self.network, self.kafka) = (settings, network, kafka)
        world = network.world
        host = VirtualHost("clients", in: world)
        partitioner = try Partitioner(partitionCount: settings.partitionCount)
        keys = (0..<keyCount).map { "k\($0)" }
        history = History(world)
        boards = BoardHistory(history)
    }

    func start(clients: Int) {
        for client in 0..<clients {
            running += 1
            _ = Task(executorPreference: host) {
                await self.run(client)
                self.running -= 1
            }
        }
        running += 1
        _ = Task(executorPreference: host) {
            await self.visitAll()
            self.running -= 1
        }
    }

    /// What has begun is brought to its end.
    func stop() { isStopping = true }

    private func run(_ client: Int) async {
        var count = 0
        while !isStopping {
            try? await host.sleep(.microseconds(world.between(20_000, 400_000)))
            count += 1
            let key = keys[world.random.below(keys.count)]
            let id = "\(client)-\(count)"
            switch world.random.below(11) {
            case 0..<4: await add(key, id: id)
            case 4..<6: await read(key)
            case 6..<8: await beRefused(key, id: id)
            case 8..<10: await order(key)
            default: await trigger()
            }
        }
    }

    /// Calls volatile grains without waiting for one call before the next, so that some are always under way to a silo
    /// that does not answer.
    private func visitAll() async {
        var count = 0
        while !isStopping {
            try? await host.sleep(.microseconds(world.between(20_000, 200_000)))
            count += 1
            let (token, key, choice) = ("v\(count)", keys[world.random.below(keys.count)], world.random.below(3))
            running += 1
            _ = Task(executorPreference: host) {
                switch choice {
                case 0: await self.visit(key, Note(token: token), Note.name, .command)
                case 1: await self.visit(key, Consult(token: token), Consult.name, .command)
                default: await self.visit(key, ReadBoard(), ReadBoard.name, .query)
                }
                self.running -= 1
            }
        }
    }

    /// Has records begin grains, and asks for them at once, from now on for so many microseconds.
    func triggerSome(within duration: Int64) {
        for _ in 0..<2 {
            running += 1
            _ = Task(executorPreference: host) {
                try? await self.host.sleep(.microseconds(self.world.between(0, duration)))
                await self.trigger()
                self.running -= 1
            }
        }
    }

    // MARK: Operations

    private func request<M: Encodable & Sendable>(
        _ message: M, _ name: String, _ kind: GrainCallRequest.Kind, _ key: String, id: String,
        of type: GrainType = Tally.type
    ) throws -> GrainCallRequest {
        GrainCallRequest(
            requestID: id, grain: try GrainID(type: type, key: key), kind: kind, method: name,
            payload: try MessageCoding.encode(message),
            // Some wait long enough to hear what a silo says that was paused.
            timeLeft: .milliseconds(world.between(2_000, 12_000)))
    }

    /// Any silo takes any call.
    private func send(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        let names = network.processes.keys.sorted()
        guard !names.isEmpty else { throw OrchestraError(.unavailable, "there is no silo") }
        return try await network.link(from: host).send(request, to: names[world.random.below(names.count)])
    }

    private func add(_ key: String, id: String) async {
        let begun = history.begin(key, adds: true)
        while true {
            do {
                let reply = try await send(request(AddOne(), AddOne.name, .command, key, id: id))
                return history.added(key, try MessageCoding.decode(Int.self, from: reply.payload), begun)
            } catch {
                world.log("clients: \(id) of \(key) failed: \((error as? OrchestraError)?.code.rawValue ?? "\(error)")")
                try? await host.sleep(.microseconds(world.between(20_000, 300_000)))
            }
        }
    }

    /// - Returns: whether there was an answer.
    @discardableResult
    func read(_ key: String, after position: GrainCallRequest.Position? = nil) async -> Bool {
        let begun = history.begin(key, sees: position != nil)
        do {
            var request = try request(ReadTotal(), ReadTotal.name, .query, key, id: "query")
            request.after = position
            let reply = try await send(request)
            history.read(key, try MessageCoding.decode(Int.self, from: reply.payload), begun)
            return true
        } catch {
            guard (error as? OrchestraError)?.code == .notFound else { return false }
            history.notFound(key, begun)
            return true
        }
    }

    private func beRefused(_ key: String, id: String) async {
        let begun = history.begin(key)
        do {
            _ = try await send(request(Refuse(), Refuse.name, .command, key, id: id))
        } catch {
            guard let error = error as? OrchestraError, error.code == .conflict, let total = Int(error.message) else {
                return
            }
            history.read(key, total, begun)
        }
    }

    /// Sends a record.
    ///
    /// - Parameter isStray: to the wrong partition, as clients do that partition differently.
    /// - Returns: its offset.
    private func place(_ key: String, isStray: Bool) -> Int64? {
        orders += 1
        let never = Timestamp(millisecondsSinceEpoch: 0)
        let order = AgentTask(
            taskId: "\(orders)", workflowId: key, agent: "", input: "", createdAt: never, deadline: never)
        guard let value = try? settings.codec.encode(order) else { return nil }
        let home = partitioner.partition(forKey: key)
        let partition = isStray ? (home + 1) % settings.partitionCount : home
        let record = ProducerRecord(topic: "orders", partition: partition, key: Array(key.utf8), value: value)
        let offset = kafka.append(record)
        history.ordered(key, isStray: isStray)
        return offset
    }

    private func order(_ key: String) async {
        let isStray = world.happens(0.1)
        guard let offset = place(key, isStray: isStray), !isStray, world.happens(0.5) else { return }
        await read(key, after: world.happens(0.5) ? .init(topic: "orders", offset: offset + 1) : nil)
    }

    /// A record begins a grain, as a start event does a workflow. It is acknowledged: whoever asks for the grain from
    /// then on, whatever happens to its partition meanwhile, is not told that there is none.
    private func trigger() async {
        let key = "t\(triggered.count)"
        triggered.append(key)
        guard place(key, isStray: false) != nil else { return }
        for _ in 0..<5 {
            if await read(key) { return }
            try? await host.sleep(.microseconds(world.between(1_000, 200_000)))
        }
    }

    private func visit(
        _ key: String, _ message: some Encodable & Sendable, _ name: String, _ kind: GrainCallRequest.Kind
    ) async {
        let adds = kind == .command
        let (begun, read) = (boards.begin(key, adds: adds), history.begin(key))
        // What fails may have happened; it is not repeated, for the grain would not recognise it.
        guard let request = try? request(message, name, kind, key, id: "visit", of: Board.type),
            let reply = try? await send(request),
            let state = try? MessageCoding.decode(BoardState.self, from: reply.payload)
        else { return }
        boards.answered(key, state, begun, adds: adds)
        if let total = state.total { history.read(key, total, read) }
    }

    // MARK: At the end

    /// Reads every grain and compares it with what the clients did.
    func checkTotals() {
        for key in keys + triggered {
            running += 1
            _ = Task(executorPreference: host) {
                await self.checkTotal(of: key)
                self.running -= 1
            }
        }
    }

    private func checkTotal(of key: String) async {
        guard history.isTouched(key) else { return }
        let end = kafka.partition(TopicPartition(topic: "orders", partition: partitioner.partition(forKey: key))).end
        var total: Int?
        // Records in the wrong partition need a moment to get to the right one.
        for _ in 0..<40 where total == nil || total != history.expected(of: key) {
            do {
                var request = try request(ReadTotal(), ReadTotal.name, .query, key, id: "query")
                request.after = .init(topic: "orders", offset: end)
                let reply = try await send(request)
                total = try MessageCoding.decode(Int.self, from: reply.payload)
            } catch {
                world.log("clients: \(key) cannot be read: \(error)")
            }
            try? await host.sleep(.milliseconds(50))
        }
        history.ended(key, total)
    }

    var receiptsExpected: Int { orders }
}
