import Membership
import SeededRandom

/// The adversary.
extension OwnershipRun {
    /// Breaks something, and repairs it at `end`.
    func inject(until end: Int64) {
        let duration = end - world.time
        let name = names[world.random.below(names.count)]
        let kind = Fault.allCases[world.random.below(Fault.allCases.count)]
        faults["\(kind)", default: 0] += 1
        guard let process = network.processes[name], process.isUp else {
            world.after(world.between(0, duration)) { [self] in
                if network.processes[name]?.isUp != true { spawn(name) }
            }
            return
        }
        world.log("\(kind) of \(name) for \(duration / 1_000) ms")
        workload.triggerSome(within: 400_000)
        switch kind {
        case .kill, .killAgain: killAndRestart(process, after: duration)
        case .pause: pause(process, for: duration)
        // Long enough for others to take over and go on.
        case .pauseLong: pause(process, for: world.between(4_500_000, 10_000_000))
        case .replace: replace(process, after: duration)
        case .leave: leave(process)
        case .loseKafka, .loseKafkaAgain: loseKafka(process, for: duration)
        case .cutCalls: cutCalls(name, for: duration)
        case .splitGossip: splitGossip(for: duration)
        case .lie: lie(name, for: duration)
        case .confuse: gossip.confuse(for: duration)
        case .restartBroker: restartBroker(for: min(duration, world.between(200_000, 4_000_000)))
        case .slowBroker: slowBroker(for: duration)
        }
    }

    private enum Fault: CaseIterable {
        case kill, killAgain, pause, pauseLong, replace, leave, loseKafka, loseKafkaAgain, cutCalls, splitGossip, lie
        case confuse, restartBroker, slowBroker
    }

    private func killAndRestart(_ process: SiloProcess, after delay: Int64) {
        kill(process)
        world.after(world.happens(0.3) ? world.between(50_000, 500_000) : delay) { [self] in
            if network.processes[process.name]?.isUp != true { spawn(process.name) }
        }
    }

    private func pause(_ process: SiloProcess, for duration: Int64) {
        process.host.pause()
        gossip.paused(process)
        world.after(duration) { [self] in
            guard process.isUp, process.host.isPaused else { return }
            world.log("\(process.name) wakes up")
            process.host.resume()
            gossip.resumed(process)
        }
    }

    /// A silo that hangs is started anew under its name, and then wakes up: two processes with one name.
    private func replace(_ process: SiloProcess, after delay: Int64) {
        process.host.pause()
        gossip.paused(process)
        world.after(delay / 2) { [self] in
            if network.processes[process.name] === process { spawn(process.name) }
        }
        world.after(delay) { [self] in
            world.log("\(process.name) wakes up, and is not alone")
            process.host.resume()
            if network.processes[process.name] === process { gossip.resumed(process) }
            // Somebody reads the alarm.
            world.after(world.between(500_000, 5_000_000)) { [self] in
                if network.processes[process.name] !== process { kill(process) }
            }
        }
    }

    private func leave(_ process: SiloProcess) {
        process.leave()
        world.after(world.between(500_000, 9_000_000)) { [self] in
            guard network.processes[process.name] === process || !process.isUp else { return }
            kill(process)
            if network.processes[process.name]?.isUp != true { spawn(process.name) }
        }
    }

    private func loseKafka(_ process: SiloProcess, for duration: Int64) {
        process.host.isCutFromKafka = true
        world.after(duration) { [self] in
            process.host.isCutFromKafka = false
            kafka.wakeAllReaders()
        }
    }

    private func cutCalls(_ name: String, for duration: Int64) {
        for other in names where other != name && world.happens(0.5) { network.cut(name, other) }
        world.after(duration) { [self] in network.cuts = network.cuts.filter { !$0.contains(name) } }
    }

    private func splitGossip(for duration: Int64) {
        var sides: [String: Int] = [:]
        for name in names { sides[name] = world.random.below(2) }
        gossip.split(sides)
        world.after(duration) { [self] in gossip.split([:]) }
    }

    private func lie(_ name: String, for duration: Int64) {
        let others = names.filter { $0 != name && world.happens(0.5) }
        gossip.lose(name, for: others)
        world.after(duration) { [self] in gossip.lose(name, for: []) }
    }

    private func restartBroker(for duration: Int64) {
        kafka.isDown = true
        world.after(duration) { [self] in
            kafka.isDown = false
            kafka.wakeAllReaders()
        }
    }

    private func slowBroker(for duration: Int64) {
        kafka.extraLatency = world.between(20_000, 400_000)
        world.after(duration) { [self] in kafka.extraLatency = 0 }
    }
}
