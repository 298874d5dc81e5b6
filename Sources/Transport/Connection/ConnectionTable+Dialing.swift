import NIOCore
import NIOPosix
import TLS

/// Making connections and accepting them.
extension ConnectionTable {
    /// Dials a peer; on the event loop.
    ///
    /// - Parameters:
    ///   - expecting: the node id that must answer; `nil` takes any.
    ///   - timeout: for everything up to the end of the handshake; without it each part has its own limit.
    ///   - outcome: told once, on the event loop.
    func dial(
        _ address: HostAndPort, _ purpose: ConnectionPurpose, expecting: String? = nil, timeout: Duration? = nil,
        outcome: @escaping (Result<Connection, ConnectionEnd>) -> Void
    ) {
        let connection = Connection(
            table: self, side: .dialer(expecting: expecting), purpose: purpose, address: address, outcome: outcome)
        add(connection)
        let connectTimeout = min(timeout ?? limits.connectTimeout, limits.connectTimeout)
        if let timeout {
            eventLoop.scheduleTask(in: TimeAmount(timeout)) { connection.handshakeTimedOut() }
        }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(connectTimeout))
            .socketOptions(limits)
            .connect(host: address.host, port: address.port)
            .whenComplete { result in
                // Not in an initializer: that would run for each address of the name.
                switch result {
                case .success(let channel): self.use(channel, for: connection)
                case .failure(let error): connection.connectFailed(error)
                }
            }
    }

    private func use(_ channel: any Channel, for connection: Connection) {
        guard connection.isWanted else { return channel.close(promise: nil) }
        do {
            if let tls = settings.tls {
                try channel.pipeline.syncOperations.addHandler(TLSHandler(tls.client))
            }
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            channel.close(promise: nil)
            connection.connectFailed(error)
        }
    }

    func listen(at address: HostAndPort) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: eventLoop)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .socketOptions(limits)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel) }
            }
            .bind(host: address.host, port: address.port)
    }

    private func accept(_ channel: any Channel) throws {
        guard let connection = accept() else { return channel.close(promise: nil) }
        if let tls = settings.tls {
            let detector = TLSDetector {
                connection.fail(WireError(.badTLS, "the peer does not speak TLS, and this node speaks nothing else"))
            }
            try channel.pipeline.syncOperations.addHandler(detector)
            try channel.pipeline.syncOperations.addHandler(TLSHandler(tls.server))
        }
        try channel.pipeline.syncOperations.addHandler(connection)
    }
}
