import Foundation
import OrchestraCore
import UnixSignals

/// `orchestra up`: runs the processes of a ``ClusterPlan`` until it is told to stop. The shell around ``Supervisor``.
///
/// All of its state belongs to the task that calls ``run()``; threads that watch children, signals and the timer only
/// put events into a stream. That stream needs no bound: a child yields three events in a life and lives start at
/// intervals, and there is at most one timer.
final class ClusterProcess {
    private enum Input: Sendable {
        case event(Supervisor.Event)
        case child(String, life: Int, ChildProcess.Report)
    }

    private let plan: ClusterPlan
    private let directory: DataDirectory
    private let reporter: any ClusterReporter
    private var supervisor: Supervisor
    private var logs: [String: ChildLog] = [:]
    private var processes: [String: ChildProcess] = [:]
    /// Counts the lives of each child: a report of an earlier life is out of date.
    private var lives: [String: Int] = [:]
    private var failures: [String: String] = [:]
    /// Where children answer for their administration.
    private var admins: [String: String] = [:]
    private var isReady = false
    private let start = ContinuousClock.now
    private let inputs: AsyncStream<Input>
    private let yield: AsyncStream<Input>.Continuation

    /// - Parameters:
    ///   - directory: locked by the caller.
    ///   - reporter: hears what happens.
    init(plan: ClusterPlan, directory: DataDirectory, reporter: any ClusterReporter) throws(OrchestraError) {
        self.plan = plan
        self.directory = directory
        self.reporter = reporter
        supervisor = Supervisor(stages: plan.stages.map { $0.map(\.name) })
        (inputs, yield) = AsyncStream.makeStream()
        try directory.make(directory.logDirectory)
        for child in plan.children {
            logs[child.name] = try ChildLog(path: "\(directory.logDirectory)/\(child.name).log")
        }
    }

    /// Returns after a clean stop.
    ///
    /// - Throws: ``OrchestraError`` if the cluster could not start.
    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: Self.stopSignals)
        let outcome = await withDiscardingTaskGroup { group in
            group.addTask { [yield] in
                for await _ in signals { yield.yield(.event(.stopRequested)) }
            }
            let outcome = await runEvents(in: &group)
            group.cancelAll()
            return outcome
        }
        try? FileManager.default.removeItem(atPath: directory.clusterFile)
        if case .startFailed(let name, let failure) = outcome { throw startError(name, failure) }
    }

    /// Under `nohup`, which ignores SIGHUP, the end of the terminal is no reason to stop.
    private static var stopSignals: [UnixSignal] {
        var hangUp = sigaction()
        sigaction(SIGHUP, nil, &hangUp)
        let isIgnored = unsafeBitCast(hangUp.__sigaction_handler.sa_handler, to: Int.self) == 1  // SIG_IGN
        return isIgnored ? [.sigint, .sigterm] : [.sigint, .sigterm, .sighup]
    }

    private func runEvents(in group: inout DiscardingTaskGroup) async -> Supervisor.Outcome {
        yield.yield(.event(.begin))
        var timerFor: Duration?
        for await input in inputs {
            guard let event = event(from: input) else { continue }
            if let outcome = handle(event) { return outcome }
            writeState()
            guard let deadline = supervisor.nextDeadline, deadline != timerFor else { continue }
            timerFor = deadline
            // An earlier timer that is still running does no harm: it reports a deadline that changes nothing.
            group.addTask { [yield, start] in
                try? await Task.sleep(until: start + deadline, clock: .continuous)
                yield.yield(.event(.deadline))
            }
        }
        return .stopped
    }

    /// Tells the supervisor and carries out what it says; what comes of that at once (a spawned process) it hears
    /// before anything else.
    ///
    /// - Returns: the outcome, once there is one.
    private func handle(_ event: Supervisor.Event) -> Supervisor.Outcome? {
        var events = [event]
        while !events.isEmpty {
            for directive in supervisor.handle(events.removeFirst(), at: now) {
                switch directive {
                case .spawn(let name): events.append(spawn(name))
                case .terminate(let name): processes[name]?.send(signal: SIGTERM)
                case .kill(let name): processes[name]?.send(signal: SIGKILL)
                case .notify(let notice): notify(notice)
                case .finish(let outcome): return outcome
                }
            }
        }
        return nil
    }

    private var now: Duration { ContinuousClock.now - start }

    private func event(from input: Input) -> Supervisor.Event? {
        switch input {
        case .event(let event):
            return event
        case .child(let name, let life, let report):
            guard lives[name] == life else { return nil }
            switch report {
            case .said(.ready(let addresses)):
                admins[name] = addresses["admin"]
                return .ready(name)
            case .said(.failed(let reason)):
                failures[name] = reason
                return nil
            case .exited(let exit):
                processes[name] = nil
                return .exited(name, exit)
            }
        }
    }

    private func spawn(_ name: String) -> Supervisor.Event {
        guard let child = plan.children.first(where: { $0.name == name }), let log = logs[name] else {
            preconditionFailure("\(name) is not in the plan")
        }
        let life = lives[name, default: 0] + 1
        lives[name] = life
        failures[name] = nil
        do {
            let process = try ChildProcess.spawn(name: name, arguments: child.arguments, log: log) { [yield] report in
                yield.yield(.child(name, life: life, report))
            }
            processes[name] = process
            return .spawned(name, pid: process.pid)
        } catch {
            return .spawnFailed(name, reason: error.message)
        }
    }

    private func notify(_ notice: Supervisor.Notice) {
        if case .clusterReady = notice {
            isReady = true
            // Whoever is told so may read the file at once.
            writeState()
        }
        let name = notice.childName
        let child = plan.children.first { $0.name == name }
        reporter.report(
            notice,
            ClusterReport(
                place: child?.place ?? "", pid: name.flatMap { processes[$0]?.pid },
                lastLines: name.flatMap { logs[$0]?.lastLines(10) } ?? [], logPath: name.flatMap { logs[$0]?.path },
                reason: name.flatMap { failures[$0] }, state: state))
    }

    private var state: ClusterState {
        ClusterState(
            ready: isReady, kafka: plan.kafka, registry: ResolvedConfiguration.coverUserInformation(in: plan.registry),
            gateways: plan.gateways, silos: plan.silos, admin: admins, pids: supervisor.processIDs, pid: getpid(),
            dataDirectory: directory.path)
    }

    /// Keeps `cluster.json` current; a full disk must not stop a running cluster.
    private func writeState() {
        do {
            try state.write(to: directory)
        } catch {
            reporter.warn("cannot write \(directory.clusterFile): \(error.localizedDescription)")
        }
    }

    private func startError(_ name: String, _ failure: Supervisor.StartFailure) -> OrchestraError {
        let lines = logs[name]?.lastLines(10) ?? []
        let tail = lines.isEmpty ? "" : "\nits last log lines:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
        let log = logs[name].map { "see \($0.path)" }
        switch failure {
        case .notSpawned(let reason):
            return OrchestraError(.unavailable, "\(name): \(reason)", nextStep: log)
        case .exited(let exit):
            guard let reason = failures[name] else {
                return OrchestraError(.unavailable, "\(name) \(exit) before it was ready\(tail)", nextStep: log)
            }
            return OrchestraError(.unavailable, "\(name) could not start: \(reason)", nextStep: log)
        }
    }
}

/// Hears what happens to a cluster.
protocol ClusterReporter: Sendable {
    func report(_ notice: Supervisor.Notice, _ report: ClusterReport)
    func warn(_ message: String)
}

/// What there is to say about a notice besides itself.
struct ClusterReport: Sendable {
    var place: String
    var pid: Int32?
    var lastLines: [String]
    var logPath: String?
    /// What the child itself said about why it ended.
    var reason: String?
    var state: ClusterState
}

extension Supervisor.Notice {
    /// The child that it is about; `nil` for one about the whole cluster.
    var childName: String? {
        switch self {
        case .ready(let name, _), .slowToStart(let name, _), .died(let name, _, _, _), .recovered(let name, _),
            .stopping(let name), .stopped(let name, _), .killing(let name, _):
            name
        case .clusterReady: nil
        }
    }
}
