//! A configuration in its pod: what many pods share in a file, made to fit one of them.
//!
//! The file says who may do what; where clinch listens, where the service is and where the kubelet asks is the
//! pod's own ([`Pod`]). Of what a request must prove, nothing can be changed from here but that a want of proof is only
//! observed, which the pod's author asked for.

use super::pod::{LOG_LEVELS, POD, POD_IPS, Pod, PodMode, PodProbe};
use super::{Config, UpstreamAddress};
use http::uri::Authority;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tracing::level_filters::LevelFilter;

/// A pod and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    pod: Pod,
    addresses: Vec<IpAddr>,
}

/// What else is bound in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPod {
    /// Where the kubelet asks.
    pub health: Vec<SocketAddr>,
    /// The service's port, where only clinch may be at it on every address but those of loopback.
    pub held: Option<u16>,
    /// What is asked of the service there, by the path below `/probe/`.
    pub probes: BTreeMap<String, PodProbe>,
}

impl Placement {
    /// From what the injector wrote ([`POD`]) and the pod's addresses, separated by commas ([`POD_IPS`]).
    ///
    /// # Errors
    /// In words what is wrong with them.
    pub fn read(pod: &str, addresses: &str) -> Result<Placement, String> {
        let pod: Pod = serde_json::from_str(pod).map_err(|error| format!("{POD}: {error}"))?;
        let addresses = addresses.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
        for (at, one) in addresses.iter().enumerate() {
            if addresses[..at].contains(one) {
                return Err(format!("{POD_IPS}: {one} stands there twice"));
            }
        }
        let ports = [("listen", Some(pod.listen)), ("upstream", pod.upstream), ("health", Some(pod.health))];
        if let Some((name, _)) = ports.iter().find(|(_, port)| *port == Some(0)) {
            return Err(format!("{POD}: {name} is 0, which is no port"));
        }
        if let Some(level) = pod.log_level.as_ref().filter(|level| level_of(level).is_none()) {
            return Err(format!("{POD}: logLevel is {level:?}; expected error, warn, info, debug or trace"));
        }
        Ok(Placement { pod, addresses })
    }

    /// Makes a checked configuration fit.
    ///
    /// # Errors
    /// Ports that get in each other's way, in words.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let pod = &self.pod;
        if let (UpstreamAddress::Tcp(authority), Some(port)) = (&config.upstream.address, pod.upstream) {
            config.upstream.address = UpstreamAddress::Tcp(at_port(authority, port)?);
        }
        let service = match &config.upstream.address {
            UpstreamAddress::Tcp(authority) => Some(authority.port_u16().unwrap_or(80)),
            UpstreamAddress::Unix(_) => None,
        };
        self.ports_are_apart(config, service)?;
        // The service starts when clinch is ready: neither may wait for the other. The kubelet asks the service itself.
        if config.upstream.readiness.take().is_some() {
            config.warnings.push(
                "upstream.readiness: not asked for in a pod, whose service starts after clinch".to_owned(),
            );
        }
        let mut listen = self.listen().into_iter();
        config.listen.address = listen.next().ok_or_else(|| format!("{POD_IPS}: no address"))?;
        config.listen.also = listen.collect();
        if pod.observe && !config.observes {
            config.observes = true;
            config.warnings.push(format!("{POD}: observe: {}", super::OBSERVES));
        }
        if let Some(level) = pod.log_level.as_deref().and_then(level_of) {
            config.telemetry.level = level;
        }
        let health = self.addresses.iter().map(|address| SocketAddr::new(*address, pod.health)).collect();
        let held = service.filter(|_| pod.mode == PodMode::Port);
        config.pod = Some(InPod { health, held, probes: pod.probes.clone() });
        Ok(())
    }

    fn listen(&self) -> Vec<SocketAddr> {
        let at = |address: &IpAddr| SocketAddr::new(*address, self.pod.listen);
        match self.pod.mode {
            PodMode::Port => self.addresses.iter().map(at).collect(),
            PodMode::Redirect if self.addresses.iter().any(IpAddr::is_ipv6) => {
                vec![at(&Ipv6Addr::UNSPECIFIED.into())]
            }
            PodMode::Redirect => vec![at(&Ipv4Addr::UNSPECIFIED.into())],
        }
    }

    /// The same port on another address would do in some cases; but who reads `kubectl describe` should not have to
    /// know in which.
    fn ports_are_apart(&self, config: &Config, service: Option<u16>) -> Result<(), String> {
        let pod = &self.pod;
        let push =
            config.revocation.as_ref().and_then(|one| one.push.as_ref()).map(|push| push.address.port());
        let ports = [
            ("listen", Some(pod.listen)),
            ("health", Some(pod.health)),
            ("the port of admin.address", Some(config.admin.port()).filter(|port| *port != 0)),
            ("the port of revocation.feed.push.address", push.filter(|port| *port != 0)),
            ("the service's port", service),
        ];
        // On loopback the service may have the number that clinch has on the pod's own addresses.
        let may_share = |one: &str, other: &str| {
            pod.mode == PodMode::Port && one == "listen" && other == "the service's port"
        };
        for (at, (one, port)) in ports.iter().enumerate() {
            for (other, same) in &ports[at + 1..] {
                if port.is_some() && port == same && !may_share(one, other) {
                    let port = port.unwrap_or_default();
                    return Err(format!("{POD}: {one} and {other} are both {port}: one of them must move"));
                }
            }
        }
        Ok(())
    }
}

/// An address of the pod's own, as `status.podIPs` has it.
fn address(written: &str) -> Result<IpAddr, String> {
    let wrong = |what: &str| {
        format!(
            "{POD_IPS}: {written:?} {what}; expected the pod's addresses, separated by commas (status.podIPs)"
        )
    };
    let address: IpAddr = written.trim().parse().map_err(|_| wrong("is no IP address"))?;
    let address = address.to_canonical();
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(wrong("is no address that a pod has"));
    }
    Ok(address)
}

/// A loopback host stays; another has no business in a pod.
fn at_port(authority: &Authority, port: u16) -> Result<Authority, String> {
    let host = authority.host();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = ip.map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback());
    let host = if is_loopback { host } else { "127.0.0.1" };
    format!("{host}:{port}").parse().map_err(|_| format!("upstream.url: {host:?} can't be given a port"))
}

fn level_of(name: &str) -> Option<LevelFilter> {
    LOG_LEVELS.contains(&name).then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
