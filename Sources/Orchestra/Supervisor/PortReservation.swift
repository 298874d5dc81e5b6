import Foundation
import OrchestraCore
import Transport

/// Keeps a TCP port for a child for as long as the supervisor lives, also while the child is being restarted.
///
/// A bound socket that does not listen refuses nobody who binds with SO_REUSEADDR, as every server here does, but it
/// keeps the kernel from giving the port to an outgoing connection. Without it a client that keeps knocking at a dead
/// child's port can, on loopback, connect to itself and occupy the port.
final class PortReservation: Sendable {
    let address: HostAndPort
    private let file: Int32

    private init(address: HostAndPort, file: Int32) {
        self.address = address
        self.file = file
    }

    deinit {
        close(file)
    }

    /// Reserves a given port.
    ///
    /// - Returns: `nil` if somebody listens there.
    static func reserve(_ address: HostAndPort) throws(OrchestraError) -> PortReservation? {
        try bind(address, sharing: true)
    }

    /// Takes a free port of this host.
    ///
    /// It lies below the kernel's range for outgoing connections if there is room, so that no connection of somebody else
    /// sits on it before the child listens.
    static func takeFree(host: String) throws(OrchestraError) -> PortReservation {
        let range = 20_000..<max(20_001, min(ephemeralStart, 32_768))
        for _ in 0..<200 {
            let address = HostAndPort(host: host, port: .random(in: range))
            // Without sharing: a port that another supervisor holds counts as taken.
            if let reservation = try bind(address, sharing: false) { return reservation }
        }
        throw OrchestraError(
            .unavailable, "no free port from \(range.lowerBound) to \(range.upperBound - 1) on \(host)",
            nextStep: "name ports with --set gateway.listen=HOST:PORT and its like")
    }

    private static var ephemeralStart: Int {
        let text = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
        return text.flatMap { $0.split(whereSeparator: \.isWhitespace).first }.flatMap { Int($0) } ?? 32_768
    }

    private static func bind(_ address: HostAndPort, sharing: Bool) throws(OrchestraError) -> PortReservation? {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(address.host, "\(address.port)", &hints, &found)
        guard status == 0, let entry = found?.pointee else {
            throw OrchestraError(
                .badConfiguration,
                "\(address.host) is no address to listen at: \(String(cString: gai_strerror(status)))",
                nextStep: "use 127.0.0.1, 0.0.0.0 or a name of this host")
        }
        defer { freeaddrinfo(found) }
        let file = socket(entry.ai_family, entry.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { throw failure(address) }
        if sharing { allowReuse(file) }
        guard Glibc.bind(file, entry.ai_addr, entry.ai_addrlen) == 0 else {
            let isTaken = errno == EADDRINUSE
            defer { close(file) }
            guard isTaken else { throw failure(address) }
            return nil
        }
        allowReuse(file)
        return PortReservation(address: address, file: file)
    }

    private static func allowReuse(_ file: Int32) {
        var yes: Int32 = 1
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func failure(_ address: HostAndPort) -> OrchestraError {
        OrchestraError(
            .badConfiguration, "cannot listen at \(address): \(String(cString: strerror(errno)))",
            nextStep: "use an address of this host and a port above 1023")
    }
}
