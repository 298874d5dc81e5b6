import Foundation
import NIOPosix
package import OrchestraCore

/// Finds the nodes behind a name: a name of several addresses, as a headless service of Kubernetes has, stands for
/// several nodes.
package enum SeedResolver {
    /// - Parameter seed: a host name or IP address, and the port of every node behind it.
    /// - Returns: one entry for each address, without repetitions, in the order of the resolver.
    /// - Throws: ``OrchestraError`` with `unavailable` if the name has no address now.
    package static func resolve(_ seed: HostAndPort) async throws(OrchestraError) -> [HostAndPort] {
        // getaddrinfo blocks, for many seconds when the name server is away.
        let result = try? await NIOThreadPool.singleton.runIfActive { lookUp(seed) }
        switch result {
        case .success(let addresses) where !addresses.isEmpty:
            return addresses
        case .failure(let error):
            throw error
        default:
            throw OrchestraError(.unavailable, "\(seed.host) has no address")
        }
    }

    private static func lookUp(_ seed: HostAndPort) -> Result<[HostAndPort], OrchestraError> {
        var hints = addrinfo()
        #if os(Linux)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(seed.host, nil, &hints, &found)
        guard status == 0 else {
            return .failure(
                OrchestraError(
                    .unavailable, "\(seed.host) cannot be resolved: \(String(cString: gai_strerror(status)))",
                    nextStep: "check the seed's name, and the name server"))
        }
        defer { freeaddrinfo(found) }
        var addresses: [HostAndPort] = []
        var entry = found
        while let info = entry?.pointee {
            var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                info.ai_addr, info.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0
            {
                let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                let address = HostAndPort(host: host, port: seed.port)
                if !addresses.contains(address) { addresses.append(address) }
            }
            entry = info.ai_next
        }
        return .success(addresses)
    }
}
