import NIOCore
import NIOPosix

/// The address that a node is told by when it listens on all of them and nobody configured one.
enum InterfaceAddress {
    /// - Returns: the first address of an interface that is not the loopback, IPv4 unless there is none or `isIPv6`; the
    ///   loopback on a machine without a network; `nil` if there is no interface at all.
    static func first(isIPv6: Bool) -> String? {
        let addresses = ((try? System.enumerateDevices()) ?? []).compactMap(\.address)
        let usable = addresses.filter { !isLinkLocal($0) }
        let preferred: NIOBSDSocket.ProtocolFamily = isIPv6 ? .inet6 : .inet
        let ranked = usable.filter { $0.protocol == preferred } + usable.filter { $0.protocol == .inet }
        let hosts = ranked.compactMap(\.ipAddress)
        return hosts.first { !$0.hasPrefix("127.") && $0 != "::1" } ?? hosts.first
    }

    private static func isLinkLocal(_ address: SocketAddress) -> Bool {
        guard let host = address.ipAddress else { return true }
        return host.hasPrefix("169.254.") || host.lowercased().hasPrefix("fe80:")
    }
}
