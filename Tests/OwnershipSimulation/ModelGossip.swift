import Membership
import SeededRandom
import Silo

/// Membership as the silos see its result: each process has a view of its own, which follows the truth late, in any
/// order, or not at all. It is a worse membership than the real one, which other simulations look after: views differ,
/// and may be wrong for as long as the adversary wants.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class ModelGossip: Gossip, @unchecked Sendable {
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
    private var sides: [String: Int] = [:]
    /// Who takes whom for dead, though nothing is wrong.
    private var lies: Set<[String]> = []

    private let names: [String]

    init(_ names: [String], _ network: ModelNetwork) {
        (self.names, self.network) = (names, network)
        world = network.world
    }

    func started(_ process: SiloProcess) {
        let observer = Observer(process)
        observers.append(observer)
        changed(process.name, within: 100_000...2_000_000)
        // It joins, and hears of all others at once.
        world.after(world.between(50_000, 1_000_000)) { [self] in
            for name in network.processes.keys.sorted() { look(observer, name) }
            tell(observer)
        }
    }

    func leaving(_ process: SiloProcess) {
        drained.insert("\(process.name)/\(process.generation)")
        changed(process.name, within: 20_000...600_000)
    }

    func ended(_ process: SiloProcess) { changed(process.name, within: 50_000...800_000) }

    func killed(_ process: SiloProcess) { changed(process.name, within: 800_000...5_000_000) }

    func paused(_ process: SiloProcess) { changed(process.name, within: 1_500_000...5_000_000) }

    func resumed(_ process: SiloProcess) { changed(process.name, within: 100_000...2_000_000) }

    func split(_ sides: [String: Int]) {
        self.sides = sides
        for name in names { changed(name, within: sides.isEmpty ? 100_000...2_500_000 : 1_000_000...4_000_000) }
    }

    func lose(_ name: String, for others: [String]) {
        lies = lies.filter { $0[1] != name }
        lies.formUnion(others.map { [$0, name] })
        changed(name, within: 0...1_000_000)
    }

    func confuse(for duration: Int64) {
        guard duration > 0 else {
            lies = []
            for name in names { changed(name, within: 0...1_000_000) }
            return
        }
        let (observer, subject) = (names[world.random.below(names.count)], names[world.random.below(names.count)])
        let pause = min(duration, world.between(20_000, 500_000))
        if lies.remove([observer, subject]) == nil { lies.insert([observer, subject]) }
        changed(subject, within: 0...50_000)
        world.after(pause) { [weak self] in self?.confuse(for: duration - pause) }
    }

    func heal() {
        (sides, lies) = ([:], [])
        for name in names { changed(name, within: 0...3_000_000) }
    }

    /// Something is different with a silo: each of the others notices it some time.
    private func changed(_ name: String, within delays: ClosedRange<Int64>) {
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
        process.follow(view)
    }
}
