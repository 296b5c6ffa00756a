#![allow(clippy::unwrap_used)]
use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn rates(burst: u32) -> Rates {
    Rates::new(None, Some(Rate { per_second: 1, burst })).unwrap()
}

/// DS-011
#[test]
fn an_address_that_fails_too_often_is_not_trusted_until_it_has_paid() {
    let (rates, now) = (rates(2), Instant::now());
    let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, 7));
    for _ in 0..2 {
        assert_eq!(rates.trusts(peer, now), Ok(()));
        rates.failed(peer, now);
    }
    let excess = rates.trusts(peer, now).unwrap_err();
    assert_eq!(excess.denial, Denial::TooManyFailures);
    assert!(excess.wait <= Duration::from_secs(1));
    // More of the same takes nobody further away.
    (0..1000).for_each(|_| rates.failed(peer, now));
    assert_eq!(rates.trusts(peer, now + Duration::from_secs(1)), Ok(()));
    assert_eq!(rates.trusts(Ipv4Addr::new(192, 0, 2, 8).into(), now), Ok(()));
}

#[test]
fn one_host_is_one_whatever_addresses_it_takes() {
    let of = |text: &str| network(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(network(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().into()), of("192.0.2.7"));
    assert_ne!(of("192.0.2.7"), network(Ipv6Addr::LOCALHOST.into()));
}

#[test]
fn no_rate_is_no_limit() {
    let rates = Rates::new(None, None).unwrap();
    let (peer, now) = (IpAddr::from(Ipv4Addr::LOCALHOST), Instant::now());
    (0..10_000).for_each(|_| rates.failed(peer, now));
    assert_eq!(rates.trusts(peer, now), Ok(()));
}

/// Debt is counted in the time that a rate asks for: under a higher one it would lock out those who had used the lower.
#[test]
fn a_rate_that_changes_begins_anew_and_the_other_goes_on() {
    let (before, now) = (rates(600), Instant::now());
    let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, 7));
    (0..600).for_each(|_| before.failed(peer, now));
    assert!(before.trusts(peer, now).is_err());
    let same = Some(Rate { per_second: 1, burst: 600 });
    let other = Some(Rate { per_second: 50, burst: 100 });
    assert!(before.changed_to(other, same).unwrap().trusts(peer, now).is_err());
    assert_eq!(before.changed_to(None, other).unwrap().trusts(peer, now), Ok(()));
}
