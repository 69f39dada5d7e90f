//! TCP connections that are carried.

mod bulk;
mod by_name;
mod ends;
mod opening;
mod proxy_in;
mod proxy_out;
mod reloads;
mod rig;
mod tls;
