//! Mode `redirect`: the service listens at every address, and the kernel leads what comes for it to clinch.

use super::*;
use crate::support::echo::Echo;
use crate::support::namespaces::{ROUTE_LOCALNET, SOMEBODY, as_peer};
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

const SPEC: &str = r#"{"port":8080,"to":15443,"health":9902,"open":[9090],"openUdp":[5353],"user":64000}"#;

fn mode() -> Value {
    json!({ "mode": "redirect", "listen": 15443, "upstream": 8080, "health": 9902 })
}

fn redirect(network: &Network, with: &str) -> String {
    let binary = command();
    let binary = binary.get_program().to_str().unwrap();
    network.says(binary, &["redirect", "--with", with, "--spec", SPEC])
}

/// The rules as the kernel has them, without counters and numbers.
fn rules(network: &Network, with: &str) -> String {
    let saved = match with {
        "nft" => network.says("nft", &["-s", "list", "ruleset"]),
        _ => network.says("iptables-save", &[]) + &network.says("ip6tables-save", &[]),
    };
    saved.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// WH-011, WH-023, WH-025, WH-026
#[test]
fn the_service_is_reached_through_clinch_only_by_nft() {
    as_peer(async |network| reached_through_clinch_only(network, "nft").await);
}

/// WH-011, WH-023, WH-025, WH-026
#[test]
fn the_service_is_reached_through_clinch_only_by_iptables() {
    as_peer(async |network| reached_through_clinch_only(network, "iptables").await);
}

async fn reached_through_clinch_only(network: &Network, with: &str) {
    // At every address, in both families: the guarded port, one for debugging that nobody declared, and one left open.
    let [app, debug, open] =
        [8080, 6060, 9090].map(|port| Echo::on(network.listen(&format!("[::]:{port}")).unwrap()));
    let datagrams = [8080, 5353].map(|port| Datagrams::of(network, port));
    for address in at_pod(6060) {
        assert!(TcpStream::connect(address).await.is_ok(), "{address} is open before the rules are there");
    }
    redirect(network, with);
    let before = rules(network, with);
    redirect(network, with);
    assert_eq!(rules(network, with), before, "a second run changes nothing");
    let mut pod = Pod::start(network, mode()).await;

    for address in at_pod(8080) {
        assert_eq!(pod.get(address, "/accounts/7").await.status, 200, "{address}");
        assert_eq!(pod.get_without_proof(address, "/accounts/7").await.status, 401, "{address}");
        assert_eq!(pod.asks_plainly(address).await, None, "{address}");
    }
    assert_eq!(app.count(), 2);
    for address in at_pod(6060).into_iter().chain(at_pod(9901)) {
        assert!(is_refused(address).await, "{address}");
    }
    assert_eq!(debug.count(), 0);
    for address in at_pod(9090) {
        assert_eq!(pod.asks_plainly(address).await, Some(200), "{address} was left open");
    }
    assert_eq!(open.count(), 2);
    let [guarded, let_in] = &datagrams;
    for (quic, open) in at_pod(8080).into_iter().zip(at_pod(5353)) {
        assert!(!guarded.come_from(quic), "{quic}: HTTP/3 would go round clinch");
        assert!(let_in.come_from(open), "{open}");
    }
    within_the_pod(network, &app).await;

    let peer = |line: &str| line.contains("\"10.77.0.1").then_some(());
    pod.clinch.hear("who was refused", peer).await;
    let told = pod.clinch.output();
    assert!(!told.contains("::ffff:"), "{told}");
    let count = app.count();
    pod.clinch.kill();
    for address in at_pod(8080).into_iter().chain(at_pod(15443)).chain(at_pod(9902)) {
        assert!(is_refused(address).await, "{address}");
    }
    assert_eq!(app.count(), count);
}

/// Loopback is the service's; the pod's own addresses are clinch's, but for clinch itself; others are left alone.
async fn within_the_pod(network: &Network, app: &Echo) {
    let count = app.count();
    for own in ["127.0.0.1:8080", "[::1]:8080"] {
        assert_eq!(answer(network.connect(own).unwrap()).await, Some(200), "{own}");
    }
    assert_eq!(app.count(), count + 2);
    for address in at_pod(8080) {
        assert_eq!(answer(network.connect(&address.to_string()).unwrap()).await, None, "{address}");
        let curl = |user| {
            let mut curl = network.command(user, "curl");
            curl.args(["-sS", "--max-time", "10", &format!("http://{address}/own")]);
            tokio::task::spawn_blocking(move || curl.output().unwrap())
        };
        assert!(!curl(SOMEBODY).await.unwrap().status.success(), "{address}");
        assert!(curl(CLINCH).await.unwrap().status.success(), "{address}: clinch's own user");
    }
    assert_eq!(app.count(), count + 4);
    for peer in PEER {
        let outside = Echo::on(TcpListener::bind((peer, 8080)).await.unwrap());
        let address = outside.address.to_string();
        assert_eq!(answer(network.connect(&address).unwrap()).await, Some(200), "{address}");
    }
}

/// A socket for datagrams in the pod, at every address.
struct Datagrams(UdpSocket);

impl Datagrams {
    fn of(network: &Network, port: u16) -> Datagrams {
        let socket = network.in_pod(|| UdpSocket::bind(("::", port))).unwrap();
        socket.set_nonblocking(true).unwrap();
        Datagrams(socket)
    }

    /// Sends some until one is here, or one was refused.
    fn come_from(&self, address: SocketAddr) -> bool {
        let here: IpAddr = if address.is_ipv4() { PEER[0] } else { PEER[1] }.parse().unwrap();
        let outside = UdpSocket::bind((here, 0)).unwrap();
        outside.connect(address).unwrap();
        outside.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let sent = outside.send(b"?");
            let heard = outside.recv(&mut [0]);
            if self.0.recv(&mut [0]).is_ok() {
                return true;
            }
            let refused = |result: std::io::Result<usize>| {
                result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            };
            if refused(sent) || refused(heard) {
                return false;
            }
        }
        panic!("{address}: neither taken nor refused")
    }
}

/// Loopback addresses from outside, where the kernel was told to route them: a service that listens there alone, at a
/// port that is open, is not reached.
#[test]
fn loopback_does_not_come_from_outside() {
    as_peer(async |network| {
        network.says("sh", &["-c", ROUTE_LOCALNET]);
        network.lead_loopback_of_peer_to_pod();
        let [loopback, open] = ["127.0.0.1:5353", "10.77.0.2:5353"].map(|address| {
            let socket = network.in_pod(|| UdpSocket::bind(address)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            (socket, address)
        });
        let outside = UdpSocket::bind((PEER[0], 0)).unwrap();
        // What comes after it on the same wire is here: then it is here, too, or was dropped.
        let comes_from_outside = || {
            outside.send_to(b"?", loopback.1).unwrap();
            outside.send_to(b"?", open.1).unwrap();
            open.0.recv(&mut [0]).expect("an open port");
            loopback.0.set_nonblocking(true).unwrap();
            loopback.0.recv(&mut [0]).is_ok()
        };
        assert!(comes_from_outside(), "route_localnet lets it in");
        for with in ["nft", "iptables"] {
            redirect(network, with);
            assert!(!comes_from_outside(), "{with}");
            network.says("nft", &["flush", "ruleset"]);
        }
        assert!(comes_from_outside(), "and without rules it is let in again");
    });
}
