//! An HTTP/2 origin in the clear for side-by-side: `h2-origin PORT`. It sends gRPC messages back as they came.

use sluice_tests::h2_origin::{H2Origin, Manners};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("usage: h2-origin PORT");
        return ExitCode::from(2);
    };
    let manners = Manners { streams: Some(1000), ..Manners::default() };
    let _origin = H2Origin::on(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "hello from h2-origin\n", manners);
    loop {
        std::thread::park();
    }
}
