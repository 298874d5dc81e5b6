import Membership
import OrchestraCore
import Silo

/// The calls between the processes of a cluster: they take time, get lost with the process or the connection that
/// carries them, and arrive late at one that is paused.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class ModelNetwork: @unchecked Sendable {
    let world: VirtualWorld
    /// The running process of each name; the last one started, where there are two.
    var processes: [String: SiloProcess] = [:]
    /// Pairs that do not reach each other.
    var cuts: Set<[String]> = []

    init(in world: VirtualWorld) { self.world = world }

    func cut(_ first: String, _ second: String) { cuts.insert([first, second].sorted()) }

    func isCut(_ first: String, _ second: String) -> Bool { cuts.contains([first, second].sorted()) }

    /// A host's way to the others.
    func link(from host: VirtualHost) -> any SiloNetwork { Link(network: self, host: host) }

    private struct Link: SiloNetwork {
        let network: ModelNetwork
        let host: VirtualHost

        func send(_ request: GrainCallRequest, to silo: String) async throws(OrchestraError) -> GrainCallReply {
            try await network.send(request, from: host, to: silo)
        }
    }

    private var latency: Int64 { world.happens(0.02) ? world.between(5_000, 400_000) : world.between(100, 3_000) }

    private func send(
        _ request: GrainCallRequest, from host: VirtualHost, to name: String
    ) async throws(OrchestraError) -> GrainCallReply {
        let answer = Promise<Result<GrainCallReply, OrchestraError>>()
        let unreached = OrchestraError(.unavailable, "\(name) is not reached from \(host.name)")
        // A query changes nothing, so its caller need not worry.
        let lost = request.kind == .query ? unreached : OrchestraError(.outcomeUnknown, "\(name) has not answered")
        guard !host.isDead, !isCut(host.name, name), let process = processes[name], process.isUp else {
            // The connection is known to be broken.
            world.after(latency) { answer.resolve(.failure(unreached)) }
            return try await answer.value(ifCancelled: .failure(unreached)).get()
        }
        world.after(request.timeLeft.microseconds) { answer.resolve(.failure(lost)) }
        world.after(latency) { [self] in
            guard process.isUp, !isCut(host.name, name) else { return }
            process.answer(request) {
                answer.resolve(.failure(lost))
            } _: { [self] result in
                guard !process.host.isDead else { return }
                world.after(latency) { [self] in
                    if !isCut(host.name, name) { answer.resolve(result) }
                }
            }
        }
        return try await answer.value(ifCancelled: .failure(lost)).get()
    }
}
