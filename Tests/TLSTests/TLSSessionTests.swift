import COpenSSL
import Certificates
import Foundation
import NIOCore
import Testing

@testable import TLS

/// TLS without a network.
@Suite struct TLSSessionTests {
    @Test func bothSidesTalk() throws {
        var pair = try SessionPair()
        try pair.shakeHands()
        #expect(pair.isClientDone && pair.isServerDone)
        try pair.server.receive(pair.client.write("from the client"))
        try pair.client.receive(pair.server.write("from the server"))
        #expect(try pair.server.readAll() == (ByteBuffer(string: "from the client"), .needsInput))
        #expect(try pair.client.readAll() == (ByteBuffer(string: "from the server"), .needsInput))
    }

    @Test func bytesMayComeOneByOne() throws {
        let pair = try SessionPair()
        var (isClientDone, isServerDone) = (try pair.client.shakeHands(), false)
        for _ in 0..<4 {
            var flight = pair.client.takeOutput(allocator: allocator) ?? ByteBuffer()
            while let byte = flight.readSlice(length: 1) {
                try pair.server.receive(byte)
                if !isServerDone { isServerDone = try pair.server.shakeHands() }
            }
            flight = pair.server.takeOutput(allocator: allocator) ?? ByteBuffer()
            while let byte = flight.readSlice(length: 1) {
                try pair.client.receive(byte)
                if !isClientDone { isClientDone = try pair.client.shakeHands() }
            }
        }
        #expect(isClientDone && isServerDone)
        var record = try pair.client.write("whole")
        var text = ByteBuffer()
        while let byte = record.readSlice(length: 1) {
            #expect(text.readableBytes == 0)
            try pair.server.receive(byte)
            _ = try pair.server.read(into: &text)
        }
        #expect(String(buffer: text) == "whole")
    }

    @Test func largeWritesArriveWhole() throws {
        var pair = try SessionPair()
        try pair.shakeHands()
        let text = ByteBuffer(bytes: (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        try pair.server.receive(pair.client.write(text, allocator: allocator))
        #expect(try pair.server.readAll() == (text, .needsInput))
        #expect(try pair.client.write(ByteBuffer(), allocator: allocator).readableBytes == 0)
    }

    @Test func theEndIsTold() throws {
        var pair = try SessionPair()
        try pair.shakeHands()
        try pair.server.receive(pair.client.write("the last words"))
        pair.client.close()
        try pair.server.receive(try #require(pair.client.takeOutput(allocator: allocator)))
        #expect(try pair.server.readAll() == (ByteBuffer(string: "the last words"), .closed))
    }

    // MARK: Who is not trusted

    @Test(arguments: [Certificates.stranger, Certificates.distrustful] as [CertificateFiles])
    func aServerOfOthersIsRefused(files: CertificateFiles) throws {
        var pair = try SessionPair(
            client: .make(.client, Certificates.cluster), server: .make(.server, files))
        try expectRefusal(&pair)
    }

    @Test(arguments: [Certificates.stranger, Certificates.distrustful] as [CertificateFiles])
    func aClientOfOthersIsRefused(files: CertificateFiles) throws {
        var pair = try SessionPair(
            client: .make(.client, files), server: .make(.server, Certificates.cluster))
        try expectRefusal(&pair)
    }

    @Test func aClientWithoutACertificateIsRefused() throws {
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        var pair = try SessionPair(
            client: TLSContext(.client, taking: context), server: .make(.server, Certificates.cluster))
        #expect { try pair.shakeHands() } throws: { "\($0)".contains("peer did not return a certificate") }
        #expect(!pair.isServerDone)
    }

    @Test func olderVersionsAreRefused() throws {
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        var pair = try SessionPair(
            client: TLSContext(.client, taking: context), server: .make(.server, Certificates.cluster))
        #expect { try pair.shakeHands() } throws: { "\($0)".contains("unsupported protocol") }
        #expect(!pair.isServerDone)
    }

    /// One side says that it does not trust the other, and the other hears it.
    private func expectRefusal(_ pair: inout SessionPair) throws {
        let error = #expect(throws: TLSError.self) { try pair.shakeHands() }
        #expect(error?.part == .connection)
        #expect(error?.message.contains("certificate verify failed") == true, "\(error as Any)")
        #expect(!pair.isServerDone)
        let sides = [(pair.client, pair.server), (pair.server, pair.client)]
        let alerts = sides.compactMap { from, to in from.takeOutput(allocator: allocator).map { ($0, to) } }
        #expect(alerts.count == 1)
        for (alert, to) in alerts {
            let heard = #expect(throws: TLSError.self) {
                try to.receive(alert)
                _ = try to.readAll()
            }
            #expect(heard?.message.contains("alert unknown ca") == true, "\(heard as Any)")
        }
    }

    // MARK: What is not TLS

    @Test func aChangedRecordIsRefused() throws {
        for index in [0, 3, 5, 12] {
            var pair = try SessionPair()
            try pair.shakeHands()
            var record = try pair.client.write("honest")
            record.setInteger(record.getInteger(at: index, as: UInt8.self)! ^ 0x40, at: index)
            // A record that claims to be longer needs more input before it is looked at.
            record.writeBytes([UInt8](repeating: 0, count: 1 << 15))
            try pair.server.receive(record)
            #expect(throws: TLSError.self, "byte \(index)") { try pair.server.readAll() }
        }
    }

    @Test func noiseIsRefusedOrWaitsForMore() throws {
        let context = try TLSContext.make(.server, Certificates.cluster)
        var random = RandomBytes(state: 20_261_122)
        for _ in 0..<500 {
            let server = try TLSSession(context)
            let noise = (0..<Int.random(in: 1...600, using: &random)).map { _ in
                UInt8.random(in: 0 ... .max, using: &random)
            }
            try server.receive(ByteBuffer(bytes: noise))
            do { #expect(try !server.shakeHands()) } catch { #expect(error.part == .connection) }
        }
    }

    /// Bits of a handshake change on their way: it fails, or the two sides disagree and never finish.
    @Test func changedFlightsNeverOpenAConnection() throws {
        let client = try TLSContext.make(.client, Certificates.cluster)
        let server = try TLSContext.make(.server, Certificates.cluster)
        var random = RandomBytes(state: 7)
        for _ in 0..<300 {
            var pair = try SessionPair(client: client, server: server)
            var hasChanged = false
            do {
                try pair.shakeHands { flight in
                    guard !hasChanged else { return }
                    hasChanged = true
                    // Behind the record's header, whose version nobody checks.
                    let index = Int.random(in: 5..<flight.readableBytes, using: &random)
                    let bit = UInt8.random(in: 0..<8, using: &random)
                    flight.setInteger(flight.getInteger(at: index, as: UInt8.self)! ^ (1 << bit), at: index)
                }
                #expect(!pair.isServerDone && !pair.isClientDone)
            } catch {
                #expect(!pair.isServerDone)
            }
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct RandomBytes: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
