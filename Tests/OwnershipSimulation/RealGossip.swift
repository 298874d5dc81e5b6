import Membership
import Silo
import Simulation

/// The real membership protocol: one node of a ``SimulatedCluster`` for each silo, in the same virtual time.
///
/// Two processes of one name share a node, which is the younger's: the older one keeps the view that it had.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class RealGossip: Gossip, SimulationObserver, @unchecked Sendable {
    private let world: VirtualWorld
    private let cluster: SimulatedCluster
    /// The process of each node.
    private var processes: [Int: SiloProcess] = [:]
    private var isRunning = false
    /// How far the two may be apart, in microseconds.
    private static let step: Int64 = 5_000

    init(_ names: [String], _ world: VirtualWorld) {
        self.world = world
        cluster = SimulatedCluster(nodeCount: names.count, seed: world.random.next())
        cluster.observer = self
        for index in names.indices { cluster.nodes[index].clockDrift = world.between(-10_000, 10_000) }
        cluster.trace = world.trace == nil ? nil : { [weak world] text in world?.log("membership: \(text)") }
    }

    private func index(_ name: String) -> Int { cluster.indexes[NodeID(name)] ?? 0 }

    private func keepTime() {
        cluster.run(until: world.time)
        world.after(RealGossip.step) { [weak self] in self?.keepTime() }
    }

    func started(_ process: SiloProcess) {
        if !isRunning {
            isRunning = true
            keepTime()
        }
        let index = index(process.name)
        if cluster.nodes[index].isUp { cluster.crash(index) }
        processes[index] = process
        cluster.start(index, generation: UInt64(process.generation), seeds: [0, 1])
    }

    private func change(_ process: SiloProcess, _ body: (Int) -> Void) {
        let index = index(process.name)
        if processes[index] === process { body(index) }
    }

    func leaving(_ process: SiloProcess) {
        change(process) { cluster.tell($0, .describe(weight: 0, load: 0, labels: [])) }
    }

    func ended(_ process: SiloProcess) { change(process) { cluster.tell($0, .leave) } }

    func killed(_ process: SiloProcess) { change(process) { cluster.crash($0) } }

    func paused(_ process: SiloProcess) { change(process) { cluster.stall($0) } }

    func resumed(_ process: SiloProcess) { change(process) { cluster.resume($0) } }

    func split(_ sides: [String: Int]) {
        for index in cluster.nodes.indices { cluster.network.group[index] = sides[cluster.nodes[index].id.name] ?? 0 }
    }

    func lose(_ name: String, for others: [String]) {
        let lost = index(name)
        cluster.network.cuts = cluster.network.cuts.filter { Int($0 >> 32) != lost && Int($0 & 0xffff_ffff) != lost }
        for other in others {
            cluster.network.cuts.insert(NetworkConditions.pair(lost, index(other)))
            cluster.network.cuts.insert(NetworkConditions.pair(index(other), lost))
        }
    }

    func confuse(for duration: Int64) {
        for index in cluster.nodes.indices where world.happens(0.5) { cluster.network.lossIn[index] = 0.8 }
        world.after(duration) { [weak self] in
            guard let self else { return }
            for index in cluster.nodes.indices { cluster.network.lossIn[index] = 0 }
        }
    }

    func heal() { cluster.network.heal() }

    // MARK: SimulationObserver

    func started(_ node: Int, in cluster: SimulatedCluster) {}

    func stepped(_ node: Int, effects: [MembershipEffect], in cluster: SimulatedCluster) {
        for effect in effects {
            guard case .publish(let version) = effect, let process = processes[node] else { continue }
            let silos = cluster.nodes[node].membership.view.silos.map {
                SiloView.Silo(id: $0.id.name, generation: Int64($0.generation), weight: UInt32($0.weight))
            }
            world.log("\(process.name) sees \(silos.map { "\($0.id)\($0.weight == 0 ? "(0)" : "")" })")
            process.follow(SiloView(version: version, silos: silos))
        }
    }
}
