import Foundation
import OrchestraCore
import Synchronization

/// A child process of the supervisor, spawned from this program's own executable.
///
/// - It gets a process group of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then stops
///   the children in order.
/// - Its output goes to a pipe that this side reads into the child's log.
/// - Descriptor ``SupervisorLink/descriptor`` is one end of a socket pair. On it the child reports that it is ready or
///   why it failed; its end of file tells the child that the supervisor is gone, and us that the child is.
///
/// Foundation's `Process` is not used: it inherits descriptors and ignored signals, and offers no process group.
final class ChildProcess: Sendable {
    /// What the child said or what became of it.
    enum Report: Sendable {
        case said(SupervisorLink.Message)
        /// The last report: the process is gone and nothing of its output is missing from the log.
        case exited(ProcessExit)
    }

    let pid: pid_t
    /// Whether the process was reaped: its id may belong to another process by now and must not be signalled.
    private let isReaped = Mutex(false)

    private init(pid: pid_t) {
        self.pid = pid
    }

    /// The file that this process runs, even if its path has been overwritten by a new build since.
    static let ownExecutable = "/proc/self/exe"

    /// Starts a process.
    ///
    /// - Parameters:
    ///   - executable: what to run. Default: this program.
    ///   - name: the name of the thread that watches it.
    ///   - arguments: without the program's own name.
    ///   - log: gets its standard output and error.
    ///   - report: called on the watching thread; `exited` is its last call.
    static func spawn(
        executable: String = ownExecutable, name: String, arguments: [String], log: ChildLog,
        report: @escaping @Sendable (Report) -> Void
    ) throws(OrchestraError) -> ChildProcess {
        let output = try DescriptorPair.pipe()
        let control = try DescriptorPair.socketPair()
        let pid: pid_t
        do {
            pid = try posixSpawn(executable, arguments: arguments, output: output.second, control: control.second)
        } catch {
            output.closeBoth()
            control.closeBoth()
            throw error
        }
        // The child has its own copies; ours would keep the end of file from coming.
        close(output.second)
        close(control.second)
        let child = ChildProcess(pid: pid)
        let thread = Thread {
            let watch = ChildWatch(output: output.first, control: control.first, log: log)
            watch.run { report(.said($0)) }
            report(.exited(child.reap()))
        }
        thread.name = "watch-\(name)"
        thread.start()
        return child
    }

    /// Sends a signal, unless the process is gone.
    func send(signal: Int32) {
        isReaped.withLock { isReaped in
            guard !isReaped else { return }
            kill(pid, signal)
        }
    }

    /// Waits for the end of the process without a lock, then frees its id under the lock that signals take.
    private func reap() -> ProcessExit {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        return isReaped.withLock { isReaped in
            isReaped = true
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 {
                guard errno == EINTR else { return .notStarted("waitpid: \(String(cString: strerror(errno)))") }
            }
            return ProcessExit(waitStatus: status)
        }
    }

    /// Whatever else this process has open (locks, port reservations, other children's pipes, what it inherited from
    /// its own parent) stays here. Swift does not see glibc's `posix_spawn_file_actions_addclosefrom_np`.
    private static func keepOpenFilesFromChildren() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for file in names.compactMap({ Int32($0) }) where file > STDERR_FILENO {
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        }
    }

    private static func posixSpawn(
        _ executable: String, arguments: [String], output: Int32, control: Int32
    ) throws(OrchestraError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        posix_spawn_file_actions_adddup2(&actions, control, SupervisorLink.descriptor)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))
        posix_spawnattr_setpgroup(&attributes, 0)
        // An ignored or blocked signal would stay so in the child, which could then not be stopped.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)

        keepOpenFilesFromChildren()
        let programName = executable == ownExecutable ? CommandLine.arguments.first ?? "orchestra" : executable
        var argumentPointers = ([programName] + arguments).map { strdup($0) } + [nil]
        defer { argumentPointers.forEach { free($0) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, executable, &actions, &attributes, &argumentPointers, environ)
        guard status == 0 else {
            throw OrchestraError(
                .unavailable, "cannot start a process: \(String(cString: strerror(status)))",
                nextStep: "check the limits on processes and memory (ulimit -a)")
        }
        return pid
    }
}

/// Two connected descriptors that no other child inherits.
private struct DescriptorPair {
    var first: Int32
    var second: Int32

    static func pipe() throws(OrchestraError) -> DescriptorPair {
        let pair = try make("pipe") { Glibc.pipe($0) }
        // Only one task of this program spawns, so no child can slip in between.
        for file in [pair.first, pair.second] { _ = fcntl(file, F_SETFD, FD_CLOEXEC) }
        return pair
    }

    static func socketPair() throws(OrchestraError) -> DescriptorPair {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return try make("socketpair") { socketpair(AF_UNIX, type, 0, $0) }
    }

    private static func make(
        _ name: String, _ body: (UnsafeMutablePointer<Int32>) -> Int32
    ) throws(OrchestraError) -> DescriptorPair {
        var descriptors: [Int32] = [-1, -1]
        guard descriptors.withUnsafeMutableBufferPointer({ body($0.baseAddress!) }) == 0 else {
            throw OrchestraError(
                .unavailable, "\(name): \(String(cString: strerror(errno)))",
                nextStep: "raise the limit on open files (ulimit -n)")
        }
        return DescriptorPair(first: descriptors[0], second: descriptors[1])
    }

    func closeBoth() {
        close(first)
        close(second)
    }
}

/// The watching thread's work: moves output into the log and reports into messages until the child is gone.
private struct ChildWatch {
    let output: Int32
    let control: Int32
    let log: ChildLog

    /// Returns once the child has closed its end of the control socket, which it does by ending.
    func run(said: (SupervisorLink.Message) -> Void) {
        defer {
            close(output)
            close(control)
        }
        _ = fcntl(output, F_SETFL, O_NONBLOCK)
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        var messages = SupervisorLink.MessageReader()
        var descriptors = [
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: control, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            guard poll(&descriptors, 2, -1) >= 0 || errno == EINTR else { break }
            if descriptors[0].revents != 0, !moveOutput(&buffer) {
                // The child closed its output but lives on: a negative descriptor makes poll leave it out.
                descriptors[0].fd = -1
            }
            guard descriptors[1].revents != 0 else { continue }
            let count = read(control, &buffer, buffer.count)
            if count > 0 {
                for message in messages.append(buffer[..<count]) { said(message) }
            } else if count == 0 || errno != EINTR {
                break
            }
        }
        _ = moveOutput(&buffer)
        log.finishLine()
    }

    /// Moves what there is. Returns `false` at the end of the output.
    private func moveOutput(_ buffer: inout [UInt8]) -> Bool {
        while true {
            let count = read(output, &buffer, buffer.count)
            if count > 0 {
                log.append(buffer[..<count])
            } else if count == 0 {
                return false
            } else if errno != EINTR {
                return errno == EAGAIN
            }
        }
    }
}
