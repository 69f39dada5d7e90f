//! TLS and QUIC connections that end at the upstream, told apart by the name in their hello.
