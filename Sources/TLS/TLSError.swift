import COpenSSL

/// Why TLS cannot be set up or cannot go on, with what OpenSSL says about it.
package struct TLSError: Error, Sendable, CustomStringConvertible {
    /// Where it went wrong.
    package enum Part: Sendable {
        case certificate, key, trustRoots
        /// A key that is not the certificate's.
        case pair
        /// The settings or the memory of the machine.
        case library
        /// The peer: it speaks no TLS 1.3, is not trusted, does not trust this side, or sends what it must not.
        case connection
    }

    package let part: Part
    package let message: String

    package var description: String { message }

    init(_ part: Part, _ message: String) {
        self.part = part
        self.message = message
    }

    /// Takes what OpenSSL has to say on this thread.
    static func last(_ part: Part, otherwise message: String) -> TLSError {
        let reasons = takeReasons()
        return TLSError(part, reasons.isEmpty ? message : reasons.joined(separator: ": "))
    }

    /// The thread's queue of errors, latest cause last; empties it.
    private static func takeReasons() -> [String] {
        var reasons: [String] = []
        while case let code = ERR_get_error(), code != 0 {
            var text = [CChar](repeating: 0, count: 256)
            ERR_error_string_n(code, &text, text.count)
            let line = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            // "error:CODE:library:function:reason"; OpenSSL 3 leaves the function out.
            let reason = line.split(separator: ":", maxSplits: 4, omittingEmptySubsequences: false).last ?? ""
            if !reason.isEmpty, reasons.last != String(reason) { reasons.append(String(reason)) }
        }
        return reasons
    }
}
