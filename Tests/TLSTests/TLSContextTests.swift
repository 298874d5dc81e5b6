import Certificates
import Foundation
import TLS
import Testing

/// Files that cannot be used are told apart.
@Suite struct TLSContextTests {
    private func part(_ files: Certificates.Files) -> TLSError.Part? {
        #expect(throws: TLSError.self) { try TLSContext(.server, files) }?.part
    }

    @Test func missingFilesAreToldApart() throws {
        try withFolder { folder in
            let good = try Certificates.cluster(in: folder)
            let missing = folder.appending(path: "missing.pem").path
            var files = good
            files.certificate = missing
            #expect(part(files) == .certificate)
            files = good
            files.key = missing
            #expect(part(files) == .key)
            files = good
            files.trustRoots = missing
            #expect(part(files) == .trustRoots)
        }
    }

    @Test func filesOfOtherKindsAreToldApart() throws {
        try withFolder { folder in
            let good = try Certificates.cluster(in: folder)
            var files = good
            files.certificate = good.key
            #expect(part(files) == .certificate)
            files = good
            files.key = good.certificate
            #expect(part(files) == .key)
            files = good
            files.trustRoots = good.key
            #expect(part(files) == .trustRoots)
        }
    }

    @Test func aKeyOfAnotherCertificateIsRefused() throws {
        try withFolder { folder in
            for files in try Certificates.mismatched(in: folder) { #expect(part(files) == .pair) }
        }
    }

    /// Nobody is asked for the passphrase.
    @Test func anEncryptedKeyIsRefused() throws {
        try withFolder { folder in
            let files = try Certificates.encrypted(in: folder)
            #expect(part(files) == .key)
        }
    }
}
