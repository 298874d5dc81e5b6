import CCurl
import Foundation
import Synchronization

/// The thread that owns libcurl's multi handle. Everybody else leaves commands in its inbox and wakes it.
final class CurlWorker: @unchecked Sendable {
    // Unchecked because of `active`, `spare` and the easy handles: only the thread touches them. The multi handle is
    // used elsewhere only for `curl_multi_wakeup`, under the inbox's lock and never after the thread has ended.
    private enum Command {
        case start(Transfer)
        case cancel(Transfer)
        case resume(Transfer)
    }

    private struct Inbox {
        var commands: [Command] = []
        /// Requests that were let in and have not ended.
        var requests = 0
        var isStopping = false
        var hasEnded = false
        var onEnd: [@Sendable () -> Void] = []
    }

    private let configuration: HTTPClient.Configuration
    private let multi: UnsafeMutableRawPointer
    private let inbox = Mutex(Inbox())
    private let noProxy: String
    private var active: [UnsafeMutableRawPointer: Transfer] = [:]
    /// Easy handles to use again.
    private var spare: [UnsafeMutableRawPointer] = []

    private static let isInitialized: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    init(_ configuration: HTTPClient.Configuration) {
        precondition(CurlWorker.isInitialized, "libcurl cannot be initialised")
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl is out of memory") }
        self.configuration = configuration
        self.multi = multi
        noProxy = CurlWorker.noProxy(ProcessInfo.processInfo.environment)
        ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, configuration.maximumConnectionsPerHost)
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, 4 * configuration.maximumConnectionsPerHost)
    }

    /// The hosts that no proxy stands for: those of the environment, and this machine.
    static func noProxy(_ environment: [String: String]) -> String {
        let given = environment["no_proxy"] ?? environment["NO_PROXY"] ?? ""
        if given == "*" { return given }
        return (given.isEmpty ? "" : given + ",") + "localhost,127.0.0.0/8,::1"
    }

    func start() {
        let thread = Thread { [self] in run() }
        thread.name = "orchestra-http"
        thread.start()
    }

    /// Takes a request in, or ends it with an error when there is no room or the client is closed.
    func submit(_ transfer: Transfer) {
        let refusal = inbox.withLock { inbox -> HTTPError? in
            guard !inbox.isStopping else { return HTTPError(.cancelled, "\(transfer.name): the client is closed") }
            guard inbox.requests < configuration.maximumConcurrentRequests else {
                return HTTPError(.overloaded, "\(transfer.name): \(inbox.requests) requests are under way already")
            }
            inbox.requests += 1
            inbox.commands.append(.start(transfer))
            curl_multi_wakeup(multi)
            return nil
        }
        if let refusal { transfer.receiver.finish(refusal) }
    }

    func cancel(_ transfer: Transfer) {
        transfer.isCancelled.store(true, ordering: .releasing)
        post(.cancel(transfer))
    }

    /// Lets a transfer go on whose reader had fallen behind.
    func resume(_ transfer: Transfer) { post(.resume(transfer)) }

    /// - Parameter onEnd: called once the thread has ended.
    func stop(_ onEnd: (@Sendable () -> Void)? = nil) {
        let hasEnded = inbox.withLock { inbox in
            inbox.isStopping = true
            if !inbox.hasEnded {
                if let onEnd { inbox.onEnd.append(onEnd) }
                curl_multi_wakeup(multi)
            }
            return inbox.hasEnded
        }
        if hasEnded { onEnd?() }
    }

    private func post(_ command: Command) {
        inbox.withLock { inbox in
            guard !inbox.hasEnded else { return }
            inbox.commands.append(command)
            curl_multi_wakeup(multi)
        }
    }

    // MARK: On the thread

    private func run() {
        // A peer that closes while OpenSSL writes must end one exchange, not the process.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        while true {
            let (commands, isStopping) = inbox.withLock { inbox in
                defer { inbox.commands = [] }
                return (inbox.commands, inbox.isStopping)
            }
            for command in commands { execute(command) }
            if isStopping { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            collectFinished()
            curl_multi_poll(multi, nil, 0, 60_000, nil)
        }
        end()
    }

    private func execute(_ command: Command) {
        switch command {
        case .start(let transfer): begin(transfer)
        case .cancel(let transfer):
            guard let handle = transfer.handle else { return }
            remove(handle)
            transfer.fail(CurlWorker.cancelled(transfer))
        case .resume(let transfer):
            if let handle = transfer.handle { curl_easy_pause(handle, CURLPAUSE_CONT) }
        }
    }

    private func begin(_ transfer: Transfer) {
        guard !transfer.isCancelled.load(ordering: .acquiring) else {
            release(1)
            return transfer.fail(CurlWorker.cancelled(transfer))
        }
        guard let handle = spare.popLast() ?? curl_easy_init() else {
            release(1)
            return transfer.fail(HTTPError(.other, "\(transfer.name): libcurl is out of memory"))
        }
        active[handle] = transfer
        do throws(HTTPError) {
            try transfer.prepare(handle, userAgent: configuration.userAgent, noProxy: noProxy)
            let status = curl_multi_add_handle(multi, handle)
            guard status == CURLM_OK else {
                throw HTTPError(.other, "\(transfer.name): \(String(cString: curl_multi_strerror(status)))")
            }
        } catch {
            remove(handle)
            transfer.fail(error)
        }
    }

    private func collectFinished() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            let code = message.pointee.data.result
            guard let transfer = active[handle] else { continue }
            // The error text and the times are read before the handle is reset.
            transfer.finish(code)
            remove(handle)
        }
    }

    private func remove(_ handle: UnsafeMutableRawPointer) {
        curl_multi_remove_handle(multi, handle)
        active[handle] = nil
        release(1)
        if spare.count < configuration.maximumConnectionsPerHost {
            curl_easy_reset(handle)
            spare.append(handle)
        } else {
            curl_easy_cleanup(handle)
        }
    }

    private func release(_ count: Int) { inbox.withLock { $0.requests -= count } }

    private func end() {
        for (handle, transfer) in active {
            curl_multi_remove_handle(multi, handle)
            curl_easy_cleanup(handle)
            transfer.fail(HTTPError(.cancelled, "\(transfer.name): the client was closed"))
        }
        active = [:]
        for handle in spare { curl_easy_cleanup(handle) }
        let (late, onEnd) = inbox.withLock { inbox in
            inbox.hasEnded = true
            defer { inbox.commands = [] }
            return (inbox.commands, inbox.onEnd)
        }
        curl_multi_cleanup(multi)
        for case .start(let transfer) in late {
            transfer.fail(HTTPError(.cancelled, "\(transfer.name): the client was closed"))
        }
        for action in onEnd { action() }
    }

    private static func cancelled(_ transfer: Transfer) -> HTTPError {
        HTTPError(.cancelled, "\(transfer.name): cancelled")
    }
}
