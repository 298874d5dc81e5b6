import CCurl
import OrchestraCore
import Synchronization

/// One exchange: a request and where its response goes.
final class Transfer: @unchecked Sendable {
    // Unchecked because of the parts that follow the first three: only the client's thread touches them.
    let request: HTTPRequest
    let receiver: any ResponseReceiver
    /// Set before the thread is told, so that a cancellation that overtakes its request is not lost.
    let isCancelled = Atomic<Bool>(false)

    private(set) var handle: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let errorText: UnsafeMutablePointer<CChar>
    private var parser = ResponseHeadParser()
    private var abortError: HTTPError?

    init(_ request: HTTPRequest, receiver: any ResponseReceiver) {
        self.request = request
        self.receiver = receiver
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_slist_free_all(headerList)
        errorText.deallocate()
    }

    /// Method and URL without credentials and query, for messages.
    var name: String {
        var url = request.url.prefix { $0 != "?" && $0 != "#" }
        if let schemeEnd = url.firstRange(of: "://")?.upperBound {
            let authority = url[schemeEnd...].prefix { $0 != "/" }
            if let at = authority.lastIndex(of: "@") { url.removeSubrange(schemeEnd...at) }
        }
        return "\(request.method) \(url)"
    }

    // MARK: On the client's thread

    /// Sets the request's options on an easy handle.
    func prepare(_ handle: UnsafeMutableRawPointer, userAgent: String, noProxy: String) throws(HTTPError) {
        headerList = try makeHeaderList(userAgent: userAgent)
        self.handle = handle
        let me = Unmanaged.passUnretained(self).toOpaque()
        ccurl_set_pointer(handle, CURLOPT_PRIVATE, me)
        ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
        // Without this libcurl times name resolution with SIGALRM.
        ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        ccurl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        ccurl_set_string(handle, CURLOPT_NOPROXY, noProxy)
        ccurl_set_long(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        ccurl_set_long(handle, CURLOPT_TCP_NODELAY, 1)
        ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, Transfer.milliseconds(request.connectTimeout))
        ccurl_set_long(handle, CURLOPT_TIMEOUT_MS, Transfer.milliseconds(request.timeout))
        ccurl_set_list(handle, CURLOPT_HTTPHEADER, headerList)
        guard !request.url.utf8.contains(0), ccurl_set_string(handle, CURLOPT_URL, request.url) == CURLE_OK else {
            throw HTTPError(.invalidRequest, "\(name): the URL cannot be used")
        }
        try setMethod(handle)
        ccurl_set_pointer(handle, CURLOPT_HEADERDATA, me)
        ccurl_set_callback(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.receiveHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        ccurl_set_pointer(handle, CURLOPT_WRITEDATA, me)
        ccurl_set_callback(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.receiveBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
    }

    /// Tells the receiver how the exchange ended.
    func finish(_ code: CURLcode) {
        receiver.finish(code == CURLE_OK ? nil : error(code))
        handle = nil
    }

    func fail(_ error: HTTPError) {
        receiver.finish(error)
        handle = nil
    }

    private func setMethod(_ handle: UnsafeMutableRawPointer) throws(HTTPError) {
        guard !request.method.isEmpty, request.method.utf8.allSatisfy({ (0x41...0x5a).contains($0) }) else {
            throw HTTPError(.invalidRequest, "\"\(request.method)\" is not an HTTP method")
        }
        if request.method == "HEAD" {
            ccurl_set_long(handle, CURLOPT_NOBODY, 1)
        } else if !request.body.isEmpty || ["POST", "PUT", "PATCH"].contains(request.method) {
            ccurl_set_long(handle, CURLOPT_POST, 1)
            ccurl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count))
            // libcurl copies the bytes; a null pointer would mean "ask a callback for the body".
            request.body.withUnsafeBytes { body in
                _ = ccurl_set_pointer(handle, CURLOPT_COPYPOSTFIELDS, body.baseAddress ?? UnsafeRawPointer(errorText))
            }
        }
        if request.method != "GET" || !request.body.isEmpty {
            ccurl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        }
    }

    private func makeHeaderList(userAgent: String) throws(HTTPError) -> UnsafeMutablePointer<curl_slist>? {
        var lines: [String] = []
        var names: Set<String> = []
        for (name, value) in request.headers {
            guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }) else {
                throw HTTPError(.invalidRequest, "\"\(name)\" is not the name of a header field")
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                throw HTTPError(.invalidRequest, "the header field \(name) contains a control character")
            }
            names.insert(name.lowercased())
            // "name;" is libcurl's way to send an empty value.
            lines.append(value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        // What libcurl would add by itself: a wait for "100 Continue", and a form's content type.
        for name in ["Expect", "Content-Type"] where !names.contains(name.lowercased()) { lines.append("\(name):") }
        if !names.contains("user-agent") { lines.append("User-Agent: \(userAgent)") }
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines { list = curl_slist_append(list, line) ?? list }
        return list
    }

    private func receiveHeader(_ line: UnsafeRawBufferPointer) -> Int {
        switch parser.take(line) {
        case .more: break
        case .head(let head): receiver.receive(head: head)
        case .tooLarge:
            abortError = HTTPError(
                .tooLarge, "the response's head is larger than \(ResponseHeadParser.maximumSize) bytes")
            return 0
        }
        return line.count
    }

    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch receiver.receive(body: bytes) {
        case .taken: return bytes.count
        case .pause: return Int(CURL_WRITEFUNC_PAUSE)
        case .fail(let error):
            abortError = error
            return 0
        }
    }

    private func error(_ code: CURLcode) -> HTTPError {
        if let abortError { return HTTPError(abortError.kind, "\(name): \(abortError.message)") }
        var connectMicroseconds: curl_off_t = 0
        if let handle { ccurl_get_size(handle, CURLINFO_CONNECT_TIME_T, &connectMicroseconds) }
        let kind = HTTPError.Kind(curl: code, isConnected: connectMicroseconds > 0)
        let detail = String(cString: errorText)
        return HTTPError(
            kind, curlCode: Int(code.rawValue),
            "\(name): \(detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail)")
    }

    /// At least 1, because libcurl takes 0 as "for ever".
    private static func milliseconds(_ duration: Duration) -> Int {
        Int(min(max(duration.wholeMilliseconds, 1), Int64(Int32.max)))
    }
}

extension HTTPError.Kind {
    /// - Parameter isConnected: whether the connection stood when the failure came.
    init(curl code: CURLcode, isConnected: Bool) {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT: self = .connect
        case CURLE_OPERATION_TIMEDOUT: self = isConnected ? .timedOut : .connect
        case CURLE_GOT_NOTHING: self = .emptyReply
        case CURLE_PARTIAL_FILE, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_HTTP2, CURLE_HTTP2_STREAM: self = .cut
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_USE_SSL_FAILED:
            self = .tls
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: self = .invalidRequest
        default: self = .other
        }
    }
}
