package import Membership
package import SeededRandom

/// What an observer of the simulation is told, in order.
package protocol SimulationObserver: AnyObject {
    /// After each step of a node, with what it asked for.
    func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster)
    /// A process has begun, with an empty memory.
    func started(_ node: Int, in cluster: SimulatedCluster)
}

/// A cluster in one thread and in virtual time: many nodes, one network, one queue of what happens next.
///
/// Everything follows from the seed. The network is a model of TCP: ordered connections, loss as latency, resets,
/// refused and unanswered dials; see ``NetworkConditions``.
package final class SimulatedCluster {
    /// Added to each message: a frame's header (6) and one TCP segment's (52 with timestamps, over IPv4).
    package static let messageOverhead = 58

    enum Action {
        case deliver(Message, from: Int, to: Int, connection: UInt64, life: Int, size: Int)
        case wake(Int, token: UInt64)
        case event(MembershipEvent, to: Int, life: Int)
        case opened(Int, Int, lives: (Int, Int))
        case broken(Int, Int, connection: UInt64)
        case call(Int)
    }

    struct Connection {
        let number: UInt64
        var lastArrival: (Int64, Int64) = (0, 0)
        /// A break that is under way because of an earlier message's loss.
        var isBreaking = false
    }

    package var nodes: [SimulatedNode] = []
    package var network: NetworkConditions
    /// Microseconds since the start.
    package private(set) var time: Int64 = 0
    package private(set) var traceHash: UInt64 = 0
    package private(set) var stepCount = 0
    package weak var observer: (any SimulationObserver)?
    /// Prints what happens.
    package var trace: ((String) -> Void)?
    /// Encodes and decodes every message, as a real network does. Otherwise messages are encoded to be counted only.
    package var decodesMessages = true
    package var random: SeededGenerator
    /// The least pause between tries of a dial, in microseconds, and how long one may take.
    package var dialTimeout: Int64 = 500_000

    private var queue = EventQueue<Action>()
    private var connections: [UInt64: Connection] = [:]
    private var lastConnection: UInt64 = 0
    package private(set) var indexes: [NodeID: Int] = [:]
    private var addresses: [NodeAddress: Int] = [:]
    private var calls: [(SimulatedCluster) -> Void] = []
    private let settings: MembershipSettings

    package init(nodeCount: Int, seed: UInt64, settings: MembershipSettings = MembershipSettings()) {
        random = SeededGenerator(seed: seed)
        network = NetworkConditions(nodeCount: nodeCount)
        self.settings = settings
        nodes.reserveCapacity(nodeCount)
        for index in 0..<nodeCount {
            let id = NodeID("node-\(index)")
            let address = NodeAddress(host: "10.\(index >> 16).\(index >> 8 & 255).\(index & 255)", port: 7400)
            indexes[id] = index
            addresses[address] = index
            let description = MemberDescription(role: .silo, address: address)
            nodes.append(
                SimulatedNode(
                    id: id, address: address,
                    membership: Membership(id: id, generation: 0, description: description, seeds: []),
                    random: SeededGenerator(seed: random.next())))
        }
    }

    // MARK: - Processes

    /// Begins a process under the node's name.
    package func start(_ index: Int, generation: UInt64, seeds: [Int], role: MemberRole = .silo) {
        let description = MemberDescription(role: role, address: nodes[index].address)
        let membership = Membership(
            id: nodes[index].id, generation: generation, description: description,
            seeds: seeds.map { nodes[$0].address }, settings: settings)
        begin(index, membership)
    }

    /// Begins all nodes as members that know each other already.
    package func startTogether(_ count: Int, generation: UInt64 = 1, role: (Int) -> MemberRole = { _ in .silo }) {
        var table = MemberTable()
        var records: [MemberRecord] = []
        for index in 0..<count {
            let description = MemberDescription(role: role(index), address: nodes[index].address)
            let record = MemberRecord(
                id: nodes[index].id, generation: generation, incarnation: 0, status: .alive, description: description)
            records.append(record)
            table.set(.init(record: record, since: .zero))
        }
        let seeds = (0..<min(3, count)).map { nodes[$0].address }
        for index in 0..<count {
            let membership = Membership(
                id: nodes[index].id, member: records[index], table: table, settings: settings, seeds: seeds)
            begin(index, membership)
        }
    }

    private func begin(_ index: Int, _ membership: Membership) {
        nodes[index].membership = membership
        nodes[index].state = .running
        nodes[index].life += 1
        nodes[index].inbox = []
        observer?.started(index, in: self)
        step(index, .start)
    }

    /// The process ends and its host closes its connections: `SIGKILL`.
    package func crash(_ index: Int) {
        trace?("\(nodes[index].id) crashes")
        nodes[index].state = .exited
        for peer in nodes.indices where peer != index && connection(index, peer) != nil {
            breakConnection(index, peer, noticeDelay: network.delay(from: index, to: peer, random: &random))
        }
    }

    /// The host vanishes: nothing answers any more.
    package func vanish(_ index: Int) {
        trace?("\(nodes[index].id) vanishes")
        nodes[index].state = .vanished
    }

    package func stall(_ index: Int) {
        guard nodes[index].state == .running else { return }
        trace?("\(nodes[index].id) stalls")
        nodes[index].state = .stalled
    }

    package func resume(_ index: Int) {
        guard nodes[index].state == .stalled else { return }
        trace?("\(nodes[index].id) resumes")
        nodes[index].state = .running
        let inbox = nodes[index].inbox
        nodes[index].inbox = []
        // The timers of a process that was stopped fire first, before it reads its sockets.
        step(index, .wake)
        for event in inbox where nodes[index].state == .running { step(index, event) }
    }

    package func tell(_ index: Int, _ event: MembershipEvent) {
        if nodes[index].state == .running { step(index, event) }
    }

    /// Breaks the connection of two nodes, as a middle box or an administrator would.
    package func reset(_ first: Int, _ second: Int) {
        guard connection(first, second) != nil else { return }
        breakConnection(first, second, noticeDelay: 500)
        notify(first, ofLosing: second, after: 500)
    }

    // MARK: - Time

    package func call(at time: Int64, _ body: @escaping (SimulatedCluster) -> Void) {
        calls.append(body)
        queue.plan(.call(calls.count - 1), at: max(time, self.time))
    }

    /// Runs until the condition holds (looked at after each millisecond in which something happened) or the time has
    /// come.
    ///
    /// - Returns: whether the condition held.
    @discardableResult
    package func run(until end: Int64, stopWhen condition: ((SimulatedCluster) -> Bool)? = nil) -> Bool {
        var looked = time
        while let next = queue.nextTime, next <= end {
            if let condition, next / 1000 != looked / 1000 {
                looked = next
                if condition(self) { return true }
            }
            let (time, action) = queue.next()!
            self.time = time
            perform(action)
        }
        time = max(time, end)
        return condition?(self) ?? false
    }

    private func perform(_ action: Action) {
        switch action {
        case .deliver(let message, let from, let to, let number, let life, let size):
            guard nodes[to].life == life, nodes[to].isUp, connection(from, to)?.number == number else { return }
            nodes[to].count(size, sent: false, at: time)
            give(.received(message, from: nodes[from].id), to: to)
        case .wake(let index, let token):
            guard nodes[index].state == .running, nodes[index].wakeToken == token else { return }
            step(index, .wake)
        case .event(let event, let to, let life):
            guard nodes[to].life == life else { return }
            give(event, to: to)
        case .opened(let first, let second, let lives):
            guard nodes[first].life == lives.0, nodes[second].life == lives.1 else { return }
            give(.connected(nodes[first].id, generation: nodes[first].membership.generation), to: second)
        case .broken(let first, let second, let number):
            guard connection(first, second)?.number == number else { return }
            breakConnection(first, second, noticeDelay: 0)
            notify(first, ofLosing: second, after: 0)
        case .call(let index): calls[index](self)
        }
    }

    private func give(_ event: MembershipEvent, to index: Int) {
        switch nodes[index].state {
        case .running: step(index, event)
        case .stalled: nodes[index].inbox.append(event)
        case .exited, .vanished: break
        }
    }

    private func step(_ index: Int, _ event: MembershipEvent) {
        var effects: [MembershipEffect] = []
        stepCount += 1
        let now = nodes[index].local(time)
        traceHash = mixed(traceHash ^ UInt64(bitPattern: time) ^ UInt64(index) << 48 ^ event.traceBits)
        nodes[index].step(event, now: now, effects: &effects)
        for effect in effects { perform(effect, of: index) }
        observer?.stepped(index, effects: effects, in: self)
    }

    private func perform(_ effect: MembershipEffect, of index: Int) {
        switch effect {
        case .send(let message, let peer, let address): send(message, from: index, to: peer, at: address)
        case .dial(let target, let address): dial(target, at: address, from: index)
        case .wake(let moment):
            nodes[index].wakeToken += 1
            queue.plan(.wake(index, token: nodes[index].wakeToken), at: max(time, nodes[index].global(moment)))
        case .left:
            trace?("\(nodes[index].id) has left")
            crash(index)
        case .keepConnections, .publish, .joined: break
        case .changed(let id, let record):
            if let trace {
                let text = record.map { "\($0.status) \($0.generation).\($0.incarnation)" } ?? "forgotten"
                trace("\(nodes[index].id): \(id) is \(text)")
            }
        case .generationChanged(let generation): trace?("\(nodes[index].id) takes generation \(generation)")
        case .observed(let observation): trace?("\(nodes[index].id): \(observation)")
        }
    }

    // MARK: - Network

    private func key(_ first: Int, _ second: Int) -> UInt64 {
        NetworkConditions.pair(min(first, second), max(first, second))
    }

    private func connection(_ first: Int, _ second: Int) -> Connection? { connections[key(first, second)] }

    private func open(_ first: Int, _ second: Int) -> Connection {
        lastConnection += 1
        let connection = Connection(number: lastConnection)
        connections[key(first, second)] = connection
        return connection
    }

    /// Removes the connection and tells the second node.
    private func breakConnection(_ first: Int, _ second: Int, noticeDelay: Int64?) {
        guard connections.removeValue(forKey: key(first, second)) != nil else { return }
        if let noticeDelay { notify(second, ofLosing: first, after: noticeDelay) }
    }

    private func notify(_ node: Int, ofLosing peer: Int, after delay: Int64) {
        queue.plan(.event(.disconnected(nodes[peer].id), to: node, life: nodes[node].life), at: time + delay)
    }

    private func send(_ message: Message, from index: Int, to peer: NodeID, at address: NodeAddress?) {
        guard let to = indexes[peer] else { return }
        let bytes = MessageCodec.encode(message)
        let size = bytes.count + Self.messageOverhead
        nodes[index].count(size, sent: true, at: time)
        if connection(index, to) == nil {
            guard address != nil, connect(index, to, dialledAt: time) == nil else {
                if address != nil { failConnect(index, to) }
                return
            }
        }
        var delivered = message
        if decodesMessages {
            guard let decoded = try? MessageCodec.decode(bytes), decoded == message else {
                fatalError("\(message) does not survive its encoding")
            }
            delivered = decoded
        }
        guard var connection = connection(index, to) else { return }
        let isUpward = index < to
        let delay = nodes[to].state == .vanished ? nil : network.delay(from: index, to: to, random: &random)
        guard let delay else {
            if !connection.isBreaking {
                connection.isBreaking = true
                connections[key(index, to)] = connection
                queue.plan(.broken(index, to, connection: connection.number), at: time + network.userTimeout)
            }
            return
        }
        guard !connection.isBreaking else { return }
        let arrival = max(time + delay, isUpward ? connection.lastArrival.0 : connection.lastArrival.1)
        if isUpward { connection.lastArrival.0 = arrival } else { connection.lastArrival.1 = arrival }
        connections[key(index, to)] = connection
        queue.plan(
            .deliver(
                delivered, from: index, to: to, connection: connection.number, life: nodes[to].life, size: size),
            at: arrival)
    }

    /// Makes a connection whose first message can leave after the handshake.
    ///
    /// - Returns: `nil` if it is made, else what a dial would say.
    private func connect(_ from: Int, _ to: Int, dialledAt: Int64) -> (DialOutcome, Int64)? {
        switch nodes[to].state {
        case .vanished: return (.timedOut, dialTimeout)
        case .exited:
            guard let there = network.delay(from: from, to: to, isFirst: true, random: &random),
                let back = network.delay(from: to, to: from, random: &random), there + back < dialTimeout
            else { return (.timedOut, dialTimeout) }
            return (.refused, there + back)
        case .stalled: return (.timedOut, dialTimeout)
        case .running: break
        }
        var total: Int64 = 0
        for trip in 0..<4 {
            let (source, target) = trip % 2 == 0 ? (from, to) : (to, from)
            guard let delay = network.delay(from: source, to: target, isFirst: trip < 2, random: &random) else {
                return (.timedOut, dialTimeout)
            }
            total += delay
        }
        guard total < dialTimeout else { return (.timedOut, dialTimeout) }
        var connection = open(from, to)
        connection.lastArrival = (time + total, time + total)
        connections[key(from, to)] = connection
        queue.plan(.opened(from, to, lives: (nodes[from].life, nodes[to].life)), at: time + total)
        return nil
    }

    private func failConnect(_ from: Int, _ to: Int) {
        notify(from, ofLosing: to, after: dialTimeout / 2)
    }

    private func dial(_ target: DialTarget, at address: NodeAddress, from index: Int) {
        let life = nodes[index].life
        func answer(_ outcome: DialOutcome, after delay: Int64) {
            queue.plan(.event(.dialed(target, outcome), to: index, life: life), at: time + delay)
        }
        guard let to = addresses[address] else { return answer(.timedOut, after: dialTimeout) }
        guard to != index else { return answer(.rejected, after: 500) }
        if let (outcome, delay) = connect(index, to, dialledAt: time) { return answer(outcome, after: delay) }
        let opened = max(connection(index, to)!.lastArrival.0, time)
        answer(
            .answered(nodes[to].id, generation: nodes[to].membership.generation), after: opened - time)
    }
}

extension MembershipEvent {
    /// Enough of an event to tell two runs apart.
    var traceBits: UInt64 {
        switch self {
        case .start: 1
        case .wake: 2
        case .received(let message, let sender):
            sender.key ^ mixed(message.digest &+ message.generation &+ UInt64(message.news.count) << 32 &+ 3)
        case .connected(let peer, let generation): peer.key ^ generation &+ 4
        case .disconnected(let peer): peer.key ^ 5
        case .dialed(_, let outcome):
            switch outcome {
            case .answered(let id, let generation): id.key ^ generation &+ 6
            case .refused: 7
            case .timedOut: 8
            case .rejected: 9
            }
        case .describe(let weight, let load, _): UInt64(weight) << 8 | UInt64(load)
        case .leave: 10
        }
    }
}
