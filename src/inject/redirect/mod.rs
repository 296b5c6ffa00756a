//! Mode `redirect`: the rules by which the kernel sends what comes for the application's port to clinch, and lets nothing
//! else in.
//!
//! Both ways to write them down, [`nft`] and [`iptables`], say the same, in IPv4 and IPv6 (WH-025):
//!
//! * What arrives for the application's TCP port is handed to clinch's. So is what the pod itself sends to that port at its
//!   own addresses, but for clinch's own connections (by its user id) and for loopback, where clinch reaches the application.
//!   What goes out to others is left alone.
//! * Of what arrives, clinch's port, its health port and the ports that the operator left open are let in, answers to what
//!   the pod asked, and ICMP. All else is refused: the application's other TCP ports, UDP and with it HTTP/3 (WH-026),
//!   SCTP. A packet that the redirection did not touch, for whatever reason, still asks for the application's port, which is
//!   not among those that are let in. So nothing is open while clinch is away (WH-023): redirection leads to a port where
//!   nobody is.
//! * Loopback addresses do not come from outside, even if the kernel is told to route them (`route_localnet`).
//!
//! Everything here is pure: text out, and what the kernel says it has in, to be compared (`verify`).

pub mod iptables;
pub mod nft;

use crate::config::pod::{REDIRECT, Redirect};

/// What the rules are to be made of, from JSON.
///
/// # Errors
/// In words what is wrong with it. A guarded port that is open all the same is among it (WH-012).
pub fn read(text: &str) -> Result<Redirect, String> {
    let redirect: Redirect = serde_json::from_str(text).map_err(|error| format!("{REDIRECT}: {error}"))?;
    match fault(&redirect) {
        None => Ok(redirect),
        Some(fault) => Err(format!("{REDIRECT}: {fault}")),
    }
}

fn fault(redirect: &Redirect) -> Option<String> {
    let Redirect { port, to, health, open, open_udp, user } = redirect;
    let all = [port, to, health].into_iter().chain(open).chain(open_udp);
    if all.clone().any(|port| *port == 0) {
        return Some("0 is no port".to_owned());
    }
    if *user == 0 {
        return Some("user is 0: clinch has a user id of its own, not root's".to_owned());
    }
    if port == to || port == health || to == health {
        return Some(format!("port, to and health must differ: {port}, {to}, {health}"));
    }
    if open.contains(port) {
        return Some(format!("port {port} can't be guarded and open at once"));
    }
    None
}

/// The TCP ports that are let in, each once, in order.
fn let_in(redirect: &Redirect) -> Vec<u16> {
    in_order([redirect.to, redirect.health].into_iter().chain(redirect.open.iter().copied()))
}

fn in_order(ports: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut ports: Vec<u16> = ports.collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests;
