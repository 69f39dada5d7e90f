//! How a connection or flow went: one [`Record`] each, whose [`End`] is the reason of its end.

use dsl::tree::l4::Transport;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Declares the reasons once: name, label, whether it counts as an error.
macro_rules! ends {
    ($($(#[doc = $doc:literal])* $name:ident $label:literal $error:literal,)*) => {
        /// Why a connection or flow ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum End {
            $($(#[doc = $doc])* $name,)*
        }

        impl End {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The label in log lines and counts.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// Whether something went wrong.
            #[must_use]
            pub const fn is_error(self) -> bool {
                match self { $(Self::$name => $error,)* }
            }
        }
    };
}

ends! {
    /// Both sides said that they were done; the client first.
    ClientClosed "client-closed" false,
    /// Both sides said that they were done; the upstream first.
    UpstreamClosed "upstream-closed" false,
    /// The client reset the connection.
    ClientReset "client-reset" true,
    /// The upstream reset the connection.
    UpstreamReset "upstream-reset" true,
    /// Nothing was sent for `idle`.
    Idle "idle" false,
    /// It lasted for `lifetime`.
    Lifetime "lifetime" false,
    /// Its endpoint left the pool, or its item changed, and `drain` is over.
    Drained "drained" false,
    /// Its endpoint is down and the item says `cut on-unhealthy`.
    Unhealthy "unhealthy" true,
    /// The gateway ends.
    Stopped "stopped" false,
    /// A `deny`, or a `require` that did not hold.
    Denied "denied" true,
    /// A `limit` was exceeded.
    Limited "limited" true,
    /// No entry of the item takes it.
    NoRoute "no-route" true,
    /// No endpoint is up.
    NoEndpoint "no-endpoint" true,
    /// No endpoint could be reached.
    ConnectFailed "connect-failed" true,
    /// No endpoint answered in time.
    ConnectTimeout "connect-timeout" true,
    /// The client's TLS handshake failed.
    ClientTls "client-tls" true,
    /// The upstream's TLS handshake failed.
    UpstreamTls "upstream-tls" true,
    /// A trusted peer sent no valid PROXY header in time.
    ProxyHeader "proxy-header" true,
    /// The first bytes are no ClientHello, or one that is refused.
    Hello "bad-hello" true,
    /// The ClientHello did not arrive in time.
    HelloTimeout "hello-timeout" true,
    /// The table of flows is full.
    TableFull "table-full" true,
    /// The system refused (no descriptors, no ports, no memory).
    System "system" true,
}

/// One connection or flow, when it has ended.
#[derive(Clone, Debug)]
pub struct Record {
    /// The item: `tcp :5432`.
    pub route: Arc<str>,
    /// What was carried.
    pub transport: Transport,
    /// Who connected.
    pub client: SocketAddr,
    /// What was reached.
    pub local: SocketAddr,
    /// The name in the hello.
    pub sni: Option<Box<str>>,
    /// The pool's name, once one was chosen.
    pub pool: Option<Arc<str>>,
    /// The endpoint, once one was reached: `host:port`.
    pub endpoint: Option<Arc<str>>,
    /// When it began.
    pub started: SystemTime,
    /// How long it lasted, milliseconds.
    pub lasted_ms: u64,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Datagrams from the client; 0 for TCP.
    pub datagrams_in: u64,
    /// Datagrams to the client; 0 for TCP.
    pub datagrams_out: u64,
    /// Connection attempts.
    pub tries: u32,
    /// Why it ended.
    pub end: End,
    /// More about the end, in words: `connection refused`.
    pub detail: Option<String>,
}
