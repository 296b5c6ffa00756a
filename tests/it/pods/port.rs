//! Mode `port`: clinch has the service's port on the addresses of the pod, the service has it on loopback.

use super::*;
use crate::support::echo::Echo;
use crate::support::namespaces::as_peer;
use crate::support::tool;
use std::net::UdpSocket;

fn mode(more: Value) -> Value {
    let mut pod = json!({ "mode": "port", "listen": 8080, "upstream": 8080, "health": 9902 });
    pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pod
}

/// WH-025: both families. WH-023: while clinch is away nothing is open.
#[test]
fn requests_pass_through_clinch_and_nothing_is_open_while_it_is_away() {
    as_peer(async |network| {
        let app = Echo::on(network.listen("127.0.0.1:8080").unwrap());
        let mut pod = Pod::start(network, mode(json!({}))).await;
        for address in at_pod(8080) {
            assert_eq!(pod.get(address, "/accounts/7").await.status, 200, "{address}");
            assert_eq!(pod.get_without_proof(address, "/accounts/7").await.status, 401, "{address}");
            assert_eq!(pod.asks_plainly(address).await, None, "{address}");
        }
        assert_eq!(app.count(), 2);
        let own = network.connect("127.0.0.1:8080").unwrap();
        assert_eq!(answer(own).await, Some(200), "the pod itself on loopback");
        pod.clinch.kill();
        for address in at_pod(8080).into_iter().chain(at_pod(9902)) {
            assert!(is_refused(address).await, "{address}");
        }
        assert_eq!(app.count(), 3);
    });
}

/// What a reload reads is placed as the start was.
#[test]
fn a_reload_stays_in_its_place() {
    as_peer(async |network| {
        let app = Echo::on(network.listen("127.0.0.1:3000").unwrap());
        let mut pod = Pod::start(network, mode(json!({ "upstream": 3000 }))).await;
        let [address, _] = at_pod(8080);
        assert_eq!(pod.get(address, "/more/1").await.status, 403, "there is no such route");
        let more = config(&pod.issuer.name) + "  - { path: '/more/{*rest}', proof: [dpop] }\n";
        pod.folder.write("new.yaml", &more);
        std::fs::rename(pod.folder.at("new.yaml"), pod.folder.at("clinch.yaml")).unwrap();
        pod.clinch
            .hear("the reload", |line| line.contains("the configuration was reloaded\"").then_some(()))
            .await;
        assert_eq!(pod.get(address, "/more/1").await.status, 200);
        assert_eq!(app.count(), 1);
    });
}

/// WH-011: a service that listens at every address, whatever it was told, fails at its start. WH-025: also one that
/// does so in IPv6 only, in a pod whose only address in IPv6 is that of its wire. WH-026: and one of HTTP/3.
#[test]
fn a_service_that_listens_at_every_address_fails_at_its_start() {
    as_peer(async |network| {
        network.says("ip", &["address", "del", &format!("{}/64", POD[1]), "dev", "eth0"]);
        let mut four = mode(json!({}));
        for upstream in [8080_u16, 3000] {
            four["upstream"] = json!(upstream);
            let _pod = Pod::start_at(network, four.clone(), POD[0]).await;
            for wildcard in ["0.0.0.0", "[::]"] {
                let error = network.listen(&format!("{wildcard}:{upstream}")).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{wildcard}:{upstream}");
                let udp = network.in_pod(|| UdpSocket::bind(format!("{wildcard}:{upstream}")));
                assert_eq!(udp.unwrap_err().kind(), ErrorKind::AddrInUse, "{wildcard}:{upstream}, UDP");
            }
            let only_v6 = format!(
                "require('net').createServer().listen({{ host: '::', port: {upstream}, ipv6Only: true }}, \
                 () => process.exit(0))"
            );
            let node = tool("bin/node");
            let output = network.run(node.to_str().unwrap(), &["-e", &only_v6]);
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && told.contains("EADDRINUSE"), "{told}");
            for loopback in ["127.0.0.1", "[::1]"] {
                network.listen(&format!("{loopback}:{upstream}")).unwrap();
            }
            let port = SocketAddr::new(POD[0].parse().unwrap(), 3000);
            assert!(is_refused(port).await, "it is held and not listened at");
            let datagrams = UdpSocket::bind((PEER[0], 0)).unwrap();
            datagrams.set_read_timeout(Some(PATIENCE)).unwrap();
            datagrams.connect((POD[0], upstream)).unwrap();
            datagrams.send(b"?").unwrap();
            assert_eq!(
                datagrams.recv(&mut [0]).unwrap_err().kind(),
                ErrorKind::ConnectionRefused,
                "{upstream}"
            );
        }
    });
}

/// WH-011, WH-023: the other way round, while clinch was away, clinch says what to do, serves nothing, and has the port
/// before the service can have it again.
#[test]
fn where_the_service_listens_everywhere_already_clinch_waits_for_its_end() {
    as_peer(async |network| {
        let (pki, folder) = (Pki::new(), Folder::public());
        let config = write(&folder, &pki, "https://localhost:1");
        for (upstream, told) in [(8080, "10.77.0.2:8080"), (3000, "10.77.0.2:3000")] {
            let app = network.listen(&format!("0.0.0.0:{upstream}")).unwrap();
            let mut run = clinch(network, &folder);
            run.args(["run", "--config"]).arg(&config).args(["--pod-ips", POD[0], "--pod"]);
            run.arg(mode(json!({ "upstream": upstream })).to_string());
            let mut clinch = Program::start(&mut run);
            let line = clinch
                .hear("what is wrong", |line| line.contains("must be clinch's").then(|| line.to_owned()))
                .await;
            let helps = line.contains("clinch.dev/app-env") && line.contains("clinch.dev/mode: redirect");
            assert!(line.contains(told) && helps, "{line}");
            drop(app);
            clinch.hear("that it listens", |line| line.contains("\"listening\"").then_some(())).await;
            let again = network.listen(&format!("0.0.0.0:{upstream}"));
            assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrInUse);
        }
        network.says("sh", &["-c", "echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start"]);
        let mut run = clinch(network, &folder);
        run.args(["run", "--config"]).arg(&config).args(["--pod-ips", POD[0], "--pod"]);
        let output = run.arg(mode(json!({ "listen": 80, "upstream": 80 })).to_string()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains("ip_unprivileged_port_start=0"), "{error}");
    });
}

/// What is bound in the pod is what belongs there: the admin port on loopback only.
#[test]
fn the_admin_port_is_not_reached_from_outside() {
    as_peer(async |network| {
        let pod = Pod::start(network, mode(json!({}))).await;
        for address in at_pod(9901) {
            assert!(is_refused(address).await, "{address}");
        }
        for health in at_pod(9902) {
            assert!(ready(&format!("http://{health}"), "10s").0 == Some(0), "{health}");
        }
        let mut inside = clinch(network, &pod.folder);
        assert!(inside.arg("ready").status().unwrap().success(), "on loopback, by default");
        drop(pod);
        let (code, told) = ready(&format!("http://{}", at_pod(9902)[0]), "0s");
        assert!(code == Some(1) && told.contains("is not ready: "), "{told}");
    });
}

/// What `clinch ready` says outside the pod.
fn ready(admin: &str, wait: &str) -> (Option<i32>, String) {
    let output = command().args(["ready", "--admin", admin, "--wait", wait]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
