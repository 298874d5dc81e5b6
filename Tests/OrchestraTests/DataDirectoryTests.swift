import Foundation
import OrchestraCore
import Testing
import Transport

@testable import Orchestra

/// What lies in the data directory: the lock, the cluster's state, generations, logs; and the ports.
@Suite struct DataDirectoryTests {
    private let folder: TemporaryDirectory
    private let directory: DataDirectory

    init() throws {
        folder = try TemporaryDirectory()
        directory = DataDirectory(path: folder.path)
    }

    private var state: ClusterState {
        ClusterState(
            ready: true, kafka: "127.0.0.1:1", registry: "http://127.0.0.1:2", gateways: ["http://127.0.0.1:3"],
            silos: ["127.0.0.1:4"], admin: ["silo-1": "http://127.0.0.1:7"], pids: ["broker": 5], pid: 6,
            dataDirectory: ".orchestra")
    }

    // MARK: Lock and state

    @Test func aSecondClusterIsRefusedUntilTheFirstHasEnded() throws {
        var lock: DataDirectoryLock? = try directory.lock()
        try state.write(to: directory)
        let error = #expect(throws: OrchestraError.self) { try directory.lock() }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("(process 6)") == true)
        #expect(directory.isLocked)
        lock = nil
        #expect(lock == nil && !directory.isLocked)
        _ = try directory.lock()
    }

    @Test func theStateOfADeadClusterIsNotBelieved() throws {
        try state.write(to: directory)
        let dead = #expect(throws: OrchestraError.self) { try ClusterState.running(on: directory) }
        #expect(dead?.code == .unavailable)
        #expect(dead?.nextStep?.contains("make up") == true)
        let lock = try directory.lock()
        #expect(try ClusterState.running(on: directory) == state)
        withExtendedLifetime(lock) {}
    }

    @Test func theStateIsOneLineOfJSON() throws {
        let text = String(decoding: try state.json(), as: UTF8.self)
        #expect(
            text
                == #"{"admin":{"silo-1":"http://127.0.0.1:7"},"dataDirectory":".orchestra","gateways":["http://127.0.0.1:3"],"kafka":"127.0.0.1:1","#
                + #""pid":6,"pids":{"broker":5},"ready":true,"registry":"http://127.0.0.1:2","silos":["127.0.0.1:4"]}"#)
    }

    @Test func aDirectoryThatCannotBeMadeIsABadConfiguration() {
        let error = #expect(throws: OrchestraError.self) { try DataDirectory(path: "/dev/null/x").make() }
        #expect(error?.code == .badConfiguration)
        #expect(error?.nextStep?.contains("--data-dir") == true)
    }

    // MARK: Generations

    @Test func generationsGrowAlsoWhenTheClockGoesBack() throws {
        func next(_ milliseconds: Int64, _ node: String = "silo-1") throws -> Int64 {
            try NodeGeneration.next(of: node, in: directory, now: Timestamp(millisecondsSinceEpoch: milliseconds))
        }
        #expect(try next(1000) == 1000)
        #expect(try next(2000) == 2000)
        #expect(try next(2000) == 2001)
        #expect(try next(500) == 2002)
        #expect(try next(500, "silo-2") == 500)
        #expect(try next(9000) == 9000)
    }

    @Test(arguments: ["", "nonsense", "9223372036854775807"])
    func aDamagedGenerationFileDoesNotStopTheNode(content: String) throws {
        try directory.make(directory.nodeDirectory)
        try content.write(
            toFile: directory.nodeDirectory + "/silo-1.generation", atomically: true, encoding: .utf8)
        let now = Timestamp(millisecondsSinceEpoch: 77)
        #expect(try NodeGeneration.next(of: "silo-1", in: directory, now: now) == 77)
    }

    // MARK: Logs

    @Test func logsAreRotatedBySizeAndTheOldestGoes() throws {
        let path = folder.path + "/x.log"
        let log = try ChildLog(path: path, maximumSize: 100, keptFiles: 2)
        for number in 0..<50 { log.append(Array("line number \(number)\n".utf8)) }
        #expect(log.lastLines(2) == ["line number 48", "line number 49"])
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(names == ["x.log", "x.log.1", "x.log.2"])
        for name in names {
            let size = try FileManager.default.attributesOfItem(atPath: "\(folder.path)/\(name)")[.size] as? Int
            #expect((size ?? .max) < 130, "\(name)")
        }
    }

    @Test func anEndlessLineIsKeptShort() throws {
        let log = try ChildLog(path: folder.path + "/x.log")
        log.append([UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20))
        log.finishLine()
        #expect(log.lastLines(1).first?.count == 2000)
    }

    // MARK: Ports

    @Test func aReservedPortCanBeListenedAtAndIsTakenForOthers() throws {
        let reservation = try PortReservation.takeFree(host: "127.0.0.1")
        let other = try PortReservation.takeFree(host: "127.0.0.1")
        #expect(reservation.address != other.address)
        // A server of ours: with SO_REUSEADDR.
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(server) }
        var yes: Int32 = 1
        setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        #expect(bindAndListen(server, port: reservation.address.port) == 0)
        // Now somebody listens: a fixed port would be refused.
        #expect(try PortReservation.reserve(reservation.address) == nil)
        withExtendedLifetime([reservation, other]) {}
    }

    @Test func anAddressThatIsNotOursIsABadConfiguration() {
        let error = #expect(throws: OrchestraError.self) {
            try PortReservation.reserve(HostAndPort(host: "192.0.2.1", port: 9))
        }
        #expect(error?.code == .badConfiguration)
    }

    private func bindAndListen(_ file: Int32, port: Int) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return bound == 0 ? listen(file, 1) : -1
    }
}
