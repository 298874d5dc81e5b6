import NIOCore
import NIOPosix

#if os(Linux)
    /// `TCP_USER_TIMEOUT` of `<linux/tcp.h>`, which Glibc's module does not export.
    private let tcpUserTimeout = NIOBSDSocket.Option(rawValue: 18)
    /// `TCP_NOTSENT_LOWAT`: what the kernel takes beyond what it can send now. Frames in there cannot be overtaken.
    private let tcpNotSentLowWaterMark = NIOBSDSocket.Option(rawValue: 25)
    private let unsentBytesInKernel = 128 << 10
#endif

extension ServerBootstrap {
    func socketOptions(_ limits: TransportLimits) -> ServerBootstrap {
        var bootstrap = childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 16, high: 1 << 18))
            .childChannelOption(.recvAllocator, value: receiveAllocator)
            .childChannelOption(.maxMessagesPerRead, value: 4)
        #if os(Linux)
            bootstrap = bootstrap.childChannelOption(
                .tcpOption(tcpUserTimeout), value: .init(clamping: limits.tcpUserTimeout.components.seconds * 1000)
            ).childChannelOption(.tcpOption(tcpNotSentLowWaterMark), value: .init(unsentBytesInKernel))
        #endif
        return bootstrap
    }
}

extension ClientBootstrap {
    func socketOptions(_ limits: TransportLimits) -> ClientBootstrap {
        var bootstrap = channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 1 << 16, high: 1 << 18))
            .channelOption(.recvAllocator, value: receiveAllocator)
            .channelOption(.maxMessagesPerRead, value: 4)
        #if os(Linux)
            bootstrap = bootstrap.channelOption(
                .tcpOption(tcpUserTimeout), value: .init(clamping: limits.tcpUserTimeout.components.seconds * 1000)
            ).channelOption(.tcpOption(tcpNotSentLowWaterMark), value: .init(unsentBytesInKernel))
        #endif
        return bootstrap
    }
}

/// Reads grow to 256 KiB, so that a thousand waiting calls come in a few system calls.
private var receiveAllocator: AdaptiveRecvByteBufferAllocator {
    AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 16_384, maximum: 262_144)
}
