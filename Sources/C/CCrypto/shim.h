#pragma once
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "Orchestra needs OpenSSL 3.0 or newer (on Debian 12: apt-get install libssl-dev)"
#endif
