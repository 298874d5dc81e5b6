import Membership
import Silo

/// Membership as the silos see its result: each process has a view of its own, which follows the truth late, in any
/// order, or not at all. It is a worse membership than the real one, which other simulations look after: views differ,
/// and may be wrong for as long as the adversary wants.
final class ModelGossip: @unchecked Sendable {
    private final class Observer {
        let process: SiloProcess
        var beliefs: [String: SiloView.Silo] = [:]
        var version: UInt64 = 0

        init(_ process: SiloProcess) { self.process = process }
    }

    private let world: VirtualWorld
    private let network: ModelNetwork
    private var observers: [Observer] = []
    /// Silos that give their partitions away, by name and generation.
    private var drained: Set<String> = []
    /// Which side of a split each silo is on.
    var sides: [String: Int] = [:]
    /// Who takes whom for dead, though nothing is wrong.
    var lies: Set<[String]> = []

    init(_ network: ModelNetwork) {
        self.network = network
        world = network.world
    }

    /// A process has started.
    func add(_ process: SiloProcess) {
        let observer = Observer(process)
        observers.append(observer)
        changed(process.name, within: 100_000...2_000_000)
        // It joins, and hears of all others at once.
        world.after(world.between(50_000, 1_000_000)) { [self] in
            for name in network.processes.keys.sorted() { look(observer, name) }
            tell(observer)
        }
    }

    /// A silo says that it leaves.
    func drain(_ process: SiloProcess) {
        drained.insert("\(process.name)/\(process.generation)")
        changed(process.name, within: 20_000...600_000)
    }

    /// Something is different with a silo: each of the others notices it some time.
    func changed(_ name: String, within delays: ClosedRange<Int64>) {
        observers.removeAll { $0.process.host.isDead }
        for observer in observers {
            world.after(world.between(delays.lowerBound, delays.upperBound)) { [self] in
                // One that has not joined yet is told all when it has.
                guard observer.version > 0 else { return }
                if look(observer, name) { tell(observer) }
            }
        }
    }

    /// - Returns: whether the observer believes something else now.
    @discardableResult
    private func look(_ observer: Observer, _ name: String) -> Bool {
        let belief = truth(of: name, for: observer.process)
        guard observer.beliefs[name] != belief else { return false }
        observer.beliefs[name] = belief
        return true
    }

    private func truth(of name: String, for observer: SiloProcess) -> SiloView.Silo? {
        // One's own view always has oneself.
        let process = name == observer.name ? observer : network.processes[name]
        guard let process, process.isUp else { return nil }
        if process !== observer {
            guard !process.host.isPaused, !lies.contains([observer.name, name]),
                sides[observer.name, default: 0] == sides[name, default: 0]
            else { return nil }
        }
        let isDrained = drained.contains("\(name)/\(process.generation)")
        return SiloView.Silo(id: name, generation: process.generation, weight: isDrained ? 0 : 100)
    }

    private func tell(_ observer: Observer) {
        observer.version += 1
        let view = SiloView(version: observer.version, silos: observer.beliefs.values.sorted { $0.id < $1.id })
        let process = observer.process
        world.log("\(process.name) sees \(view.silos.map { "\($0.id)\($0.weight == 0 ? "(0)" : "")" })")
        // In a task of the process: one that is paused hears it later, and views may overtake each other.
        _ = Task(executorPreference: process.host) { process.silo.follow(view) }
    }
}
