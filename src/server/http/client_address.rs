//! Which address a request came from, behind proxies too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{Extensions, HeaderMap};

use crate::cidr::Cidr;

/// The other end of the connection; set by the listener. A request without one was made in this process.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The address of whoever made the request.
///
/// `X-Forwarded-For` is believed only from a trusted proxy, and read from the right: each trusted proxy
/// vouches for the entry before it, and what stands further left anybody may have written.
pub(super) fn client_address(extensions: &Extensions, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let mut address = extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let forwarded = headers.get_all("x-forwarded-for").into_iter().rev();
    let hops = forwarded.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    for hop in hops {
        if !is_trusted(address) {
            break;
        }
        let Some(before) = parse(hop) else { break };
        address = before;
    }
    address.to_canonical()
}

/// An address, perhaps with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        check("203.0.113.9", &[], "203.0.113.9");
        check("203.0.113.9", &["198.51.100.7"], "203.0.113.9");
        check("10.0.0.1", &["198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["198.51.100.7, 10.0.0.2"], "198.51.100.7");
        check("10.0.0.1", &["198.51.100.7", "10.0.0.2"], "198.51.100.7");
        check("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7");
        check("10.0.0.1", &["nonsense"], "10.0.0.1");
        check("10.0.0.1", &["nonsense, 10.0.0.2"], "10.0.0.2");
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7");

        #[track_caller]
        fn check(peer: &str, forwarded: &[&str], expected: &str) {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(SocketAddr::new(peer.parse().unwrap(), 5000)));
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let found = client_address(&extensions, &headers, &["10.0.0.0/8".parse().unwrap()]);
            assert_eq!(found.to_string(), expected);
        }
    }
}
