package import Foundation

/// Certificates for tests, valid for a hundred years: a root, a node that it signed, and the same of somebody else.
package enum Certificates {
    /// Paths of PEM files.
    package struct Files {
        package var certificate: String
        package var key: String
        package var trustRoots: String
    }

    /// What a node of the cluster is configured with, in files of a directory of its own.
    package static func cluster(in folder: URL) throws -> Files {
        try files(in: folder, "node", nodeCertificate, nodeKey, root: clusterRoot)
    }

    /// A node that trusts the cluster but was signed by somebody else.
    package static func stranger(in folder: URL) throws -> Files {
        try files(in: folder, "stranger", strangerCertificate, strangerKey, root: clusterRoot)
    }

    /// A node that trusts somebody else, and was signed by the cluster.
    package static func distrustful(in folder: URL) throws -> Files {
        try files(in: folder, "distrustful", nodeCertificate, nodeKey, root: otherRoot)
    }

    /// A node of the cluster whose key needs the passphrase "secret".
    package static func encrypted(in folder: URL) throws -> Files {
        try files(in: folder, "encrypted", nodeCertificate, encryptedNodeKey, root: clusterRoot)
    }

    /// A certificate beside keys that are not its own: one of the same algorithm, one of another.
    package static func mismatched(in folder: URL) throws -> [Files] {
        [
            try files(in: folder, "mismatched", nodeCertificate, strangerKey, root: clusterRoot),
            try files(in: folder, "mismatched-ed25519", nodeCertificate, ed25519Key, root: clusterRoot),
        ]
    }

    private static func files(
        in folder: URL, _ name: String, _ certificate: String, _ key: String, root: String
    ) throws -> Files {
        func write(_ text: String, _ kind: String) throws -> String {
            let file = folder.appending(path: "\(name)-\(kind).pem")
            try text.write(to: file, atomically: true, encoding: .utf8)
            return file.path
        }
        return Files(
            certificate: try write(certificate, "certificate"), key: try write(key, "key"),
            trustRoots: try write(root, "root"))
    }

    private static let clusterRoot = """
        -----BEGIN CERTIFICATE-----
        MIIBkTCCATegAwIBAgIUFfuujlCEsJ4ShAQ8tdHOSvOiuYwwCgYIKoZIzj0EAwIw
        FTETMBEGA1UEAwwKY2x1c3Rlci1jYTAgFw0yNjExMjIxNTEwMjZaGA8yMTI2MTAy
        OTE1MTAyNlowFTETMBEGA1UEAwwKY2x1c3Rlci1jYTBZMBMGByqGSM49AgEGCCqG
        SM49AwEHA0IABPvjoYjNQgKfx8PPzFLnqN+LPnCWzXy0rJnVVSYffWsbY3XRTMDu
        kTKNeI2Bz67xz01A2Yn0bOnAFQXR1yOzFAGjYzBhMB0GA1UdDgQWBBTCszC2fvWS
        9jM4jsGEYueigaCtVTAfBgNVHSMEGDAWgBTCszC2fvWS9jM4jsGEYueigaCtVTAP
        BgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwICBDAKBggqhkjOPQQDAgNIADBF
        AiAoovbNx39y7qqfZA70/WFTthMKAg90zD0lUnTx1KxMAwIhANtL2bOOW/M11D9+
        ff0bXD8iUgf4SP+Ng5jvtnNSyhK9
        -----END CERTIFICATE-----
        """

    private static let nodeCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBtDCCAVqgAwIBAgIUYwDQz4E7kdxlvIEQhjO5UIbdFH8wCgYIKoZIzj0EAwIw
        FTETMBEGA1UEAwwKY2x1c3Rlci1jYTAgFw0yNjExMjIxNTEwMjdaGA8yMTI2MTAy
        OTE1MTAyN1owDzENMAsGA1UEAwwEbm9kZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
        A0IABONDHVPasHFUsr881+2wrL2cRin2Tq+5Ien9vGDgwPezDaaRZuiNq3ea+61q
        g+5gmaCdyVEEJxRuR6gV1Vga9uWjgYswgYgwCQYDVR0TBAIwADALBgNVHQ8EBAMC
        B4AwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMCMA8GA1UdEQQIMAaCBG5v
        ZGUwHQYDVR0OBBYEFIFW5fvyqDUPh12NYSrnoDMNPvBfMB8GA1UdIwQYMBaAFMKz
        MLZ+9ZL2MziOwYRi56KBoK1VMAoGCCqGSM49BAMCA0gAMEUCIDv0w1zHi09irDFJ
        n/fb6srooZzcyBZuiRPD5c83Qe97AiEAi+pHljlKzzZTZUfp8Mufq1EPNsVXwaGZ
        wV1HZubq2yE=
        -----END CERTIFICATE-----
        """

    private static let nodeKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjURFdwi0CTnigr1u
        YbCNczCSHsYPKWm63Lk/uos51VmhRANCAATjQx1T2rBxVLK/PNftsKy9nEYp9k6v
        uSHp/bxg4MD3sw2mkWbojat3mvutaoPuYJmgnclRBCcUbkeoFdVYGvbl
        -----END PRIVATE KEY-----
        """

    private static let otherRoot = """
        -----BEGIN CERTIFICATE-----
        MIIBjTCCATOgAwIBAgIUblcvS6texX8d43larJaK4SRMuXUwCgYIKoZIzj0EAwIw
        EzERMA8GA1UEAwwIb3RoZXItY2EwIBcNMjYxMTIyMTUxMDI2WhgPMjEyNjEwMjkx
        NTEwMjZaMBMxETAPBgNVBAMMCG90aGVyLWNhMFkwEwYHKoZIzj0CAQYIKoZIzj0D
        AQcDQgAE7uTSAo4cIpTZ//77FUK/C3peFtBuGhyT13mqncc3xan8atC/XT1pBgcb
        77BgPGI3OA9rNFxoAgsCjGWUotYSEqNjMGEwHQYDVR0OBBYEFLbbab6pqWsf09F3
        tyzOiLAIVmqCMB8GA1UdIwQYMBaAFLbbab6pqWsf09F3tyzOiLAIVmqCMA8GA1Ud
        EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMAoGCCqGSM49BAMCA0gAMEUCIQCV
        ZNoKtjq7Y/Fkr7dBlMRwOAJ+n27wBpXkhhNTC4SR3gIgcvyhV+IysB5o5rNLvs8/
        El+8EQra84/iXVJ+ygRlybc=
        -----END CERTIFICATE-----
        """

    private static let strangerCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBuTCCAWCgAwIBAgIUK+q1Y6Q66VF2GvfIsIFbQZRPmBUwCgYIKoZIzj0EAwIw
        EzERMA8GA1UEAwwIb3RoZXItY2EwIBcNMjYxMTIyMTUxMDI3WhgPMjEyNjEwMjkx
        NTEwMjdaMBMxETAPBgNVBAMMCHN0cmFuZ2VyMFkwEwYHKoZIzj0CAQYIKoZIzj0D
        AQcDQgAEt2jf5rjf7otA0xCAw3LVCrCs92q50Wz8b87qG5816JBfxjbdMz3qHFqP
        ImG/BFBAWR0jXbsOLijTS8NWl0DYeqOBjzCBjDAJBgNVHRMEAjAAMAsGA1UdDwQE
        AwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwEwYDVR0RBAwwCoII
        c3RyYW5nZXIwHQYDVR0OBBYEFPcoVOKaoiezI5/p6UhxHuzFL3+nMB8GA1UdIwQY
        MBaAFLbbab6pqWsf09F3tyzOiLAIVmqCMAoGCCqGSM49BAMCA0cAMEQCICUgbjdO
        kP1b5z1L+PoMG8CrKaa63JwbuTa9wMjYULczAiBDDc/bzX1mpeHUL2kvYgnAoMv/
        tvSuZm8KGVdfgmSPTA==
        -----END CERTIFICATE-----
        """

    private static let strangerKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwmp78P4P84uhMMk7
        R0+Jb07tF0dACmmJnbG8UZNFaCihRANCAAS3aN/muN/ui0DTEIDDctUKsKz3arnR
        bPxvzuobnzXokF/GNt0zPeocWo8iYb8EUEBZHSNduw4uKNNLw1aXQNh6
        -----END PRIVATE KEY-----
        """

    private static let encryptedNodeKey = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhXlaBp+2fwUAICCAAw
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEA7q98/t3MpvdRKRrF34pBwEgZBW
        xE9J78XoYl1/4DlrV36tkrzuqjfd+BdPS7FAU9wSWT1fhuFD9IFi3ZUV8KqLtHGf
        2/xnetyL86NY8L/o5dBrK4IfdeYjGbLrreJ3tyO4ttxja20ZsiMG8KVgTl2K8xOa
        mG8SO7/BA5tAeZlxuYDlQJDOnNWr0jQ1f3vYwgzQMd769jjfW/FxSDFjIuTfiow=
        -----END ENCRYPTED PRIVATE KEY-----
        """

    private static let ed25519Key = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIKOefYXNT13VFgek/xLnTgkiukM1lpc8o/Dhtkp2Lfr5
        -----END PRIVATE KEY-----
        """
}
