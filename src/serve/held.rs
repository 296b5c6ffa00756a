//! In a pod in mode `port`: the service's port, held at every address but those of loopback.
//!
//! A service that was told to listen at loopback and listens at every address all the same would be open around clinch.
//! A port that is bound, and not shared (`SO_REUSEADDR`), can't be bound for every address by anybody else (bind(2),
//! ip(7)): such a service fails at its start, visibly, instead of being open (WH-011). Where clinch itself listens, that does it;
//! elsewhere the port is bound and nobody listens, so connections to it are refused. Link-local addresses are among
//! them: a pod of IPv4 only has one of IPv6, which its neighbours reach (WH-025). So is UDP, for HTTP/3 would be the same
//! service (WH-026).

use super::ports::{PERIOD, Wait};
use anyhow::Context;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use tokio::net::TcpSocket;
use tokio::time::sleep;

/// A port at one address, as long as this lives.
#[derive(Debug)]
pub(super) struct Held {
    address: SocketAddr,
    /// Nothing where it is listened at.
    _tcp: Option<TcpSocket>,
    _udp: UdpSocket,
}

/// Holds a port at every address of this machine but those of loopback. `listened`: where clinch itself is. `known`:
/// the pod's addresses, whatever port they have.
///
/// # Errors
/// Somebody has it already, or there is no telling.
pub(super) async fn hold(
    port: u16,
    listened: &[SocketAddr],
    known: &[SocketAddr],
) -> anyhow::Result<Vec<Held>> {
    let mut wait = Wait::begin();
    let mut held: Vec<Held> = Vec::new();
    loop {
        let mut missing = false;
        for mut address in own_addresses(known)? {
            address.set_port(port);
            if held.iter().any(|one| one.address == address) {
                continue;
            }
            match Held::bind(address, listened) {
                Ok(one) => held.push(one),
                Err(error) => {
                    let error = advised(error.into(), address);
                    if !wait.is_worth_it(&error, true) {
                        return Err(error);
                    }
                    missing = true;
                }
            }
        }
        if !missing {
            return Ok(held);
        }
        sleep(PERIOD).await;
    }
}

/// An error, with what to do about it where that is known.
pub(super) fn advised(error: anyhow::Error, address: SocketAddr) -> anyhow::Error {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let todo = if kind == Some(io::ErrorKind::AddrInUse) {
        "it must be clinch's, TCP and UDP, so that nothing is reached around it. If a container of the pod listens there or \
         at every address: tell it to listen at 127.0.0.1 (clinch.dev/app-env, or its own settings), or have \
         `clinch.dev/mode: redirect`"
    } else if kind == Some(io::ErrorKind::PermissionDenied) {
        "below 1024 it takes the pod's sysctl net.ipv4.ip_unprivileged_port_start=0 (spec.securityContext.sysctls), or \
         `clinch.dev/mode: redirect`"
    } else {
        "clinch can't have it"
    };
    error.context(format!("the port {address}: {todo}"))
}

impl Held {
    fn bind(address: SocketAddr, listened: &[SocketAddr]) -> io::Result<Held> {
        let udp = UdpSocket::bind(address)?;
        // Only its own word would be taken: what others send is refused, not kept.
        udp.connect(address)?;
        if listened.contains(&address) {
            return Ok(Held { address, _tcp: None, _udp: udp });
        }
        let tcp = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        tcp.bind(address)?;
        Ok(Held { address, _tcp: Some(tcp), _udp: udp })
    }
}

/// Those that the kernel tells of, and those that are known anyhow. A kernel that has no such file has none of the family,
/// or is none of Linux's own.
fn own_addresses(known: &[SocketAddr]) -> anyhow::Result<Vec<SocketAddr>> {
    let mut all = of_ipv4(&read("/proc/net/fib_trie")?);
    all.extend(of_ipv6(&read("/proc/net/if_inet6")?));
    all.extend(known.iter().map(|address| SocketAddr::new(address.ip(), 0)));
    all.retain(|address| !address.ip().is_loopback());
    all.sort_unstable();
    all.dedup_by_key(|address| (address.ip(), scope(address)));
    Ok(all)
}

fn read(file: &str) -> anyhow::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("{file} tells this pod's addresses")),
    }
}

/// `/proc/net/fib_trie`: an address, and in the line below it what the routing table makes of it.
fn of_ipv4(text: &str) -> Vec<SocketAddr> {
    let mut last = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.map(|address| SocketAddr::new(IpAddr::V4(address), 0)));
        }
    }
    found
}

/// `/proc/net/if_inet6`: the address, its interface, prefix length, scope, flags, all in hex, and the interface's name.
fn of_ipv6(text: &str) -> Vec<SocketAddr> {
    let one = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok().map(Ipv6Addr::from)?;
        let interface = u32::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u32::from_str_radix(fields.nth(2)?, 16).ok()?;
        let scope = if address.is_unicast_link_local() { interface } else { 0 };
        let address = SocketAddr::V6(SocketAddrV6::new(address, 0, 0, scope));
        (flags & DUPLICATE == 0).then_some(address)
    };
    text.lines().filter_map(one).collect()
}

fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

/// `IFA_F_DADFAILED`: somebody else has the address, so the kernel does not use it.
const DUPLICATE: u32 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
                    |-- 10.9.0.2\n        /32 host LOCAL\n     |-- 10.9.0.255\n        /32 link BROADCAST\n";
        assert_eq!(of_ipv4(trie), ["10.9.0.2:0".parse().unwrap()]);
        let inet6 = "fe800000000000000000000000000009 02 40 20 80     eth0\n\
                     fd000000000000000000000000000002 02 40 00 80     eth0\n\
                     fd000000000000000000000000000003 02 40 00 88     eth0\n";
        let found = of_ipv6(inet6);
        assert_eq!(found, ["[fe80::9%2]:0".parse().unwrap(), "[fd00::2]:0".parse().unwrap()]);
    }
}
