//! The health port: what the kubelet asks from outside, passed on to the service on loopback.

use super::*;
use crate::support::echo::Echo;
use crate::support::grpc::Service;
use crate::support::namespaces::as_peer;
use crate::support::wire::exchange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic_health::ServingStatus;

#[test]
fn the_kubelets_questions_reach_the_service_and_nothing_else_of_them_does() {
    as_peer(async |network| {
        let app = Echo::on(network.listen("127.0.0.1:8080").unwrap());
        let six = Echo::on(network.listen("[::1]:3001").unwrap());
        let grpc = Service::on(network.listen("127.0.0.1:3002").unwrap());
        let headers = json!([["Host", "app.internal"], ["X-Probe", "yes"]]);
        let mut pod = json!({ "mode": "port", "listen": 8080, "upstream": 8080, "health": 9902 });
        pod["probes"] = json!({
            "app/readiness": { "http": { "port": 8080, "path": "/healthz?deep=1", "headers": headers } },
            "app/liveness": { "http": { "port": 3001, "path": "/" } },
            "app/startup": { "tcp": { "port": 8080 } },
            "app/post-start": { "http": { "port": 8080, "path": "/held" } },
            "db/liveness": { "tcp": { "port": 3003 } },
            "grpc/liveness": { "grpc": { "port": 3002 } },
            "grpc/readiness": { "grpc": { "port": 3002, "service": "shop.Orders" } },
        });
        let pod = Pod::start(network, pod).await;
        for address in at_pod(9902) {
            for (path, status) in [
                ("/live", 200),
                ("/ready", 200),
                ("/metrics", 200),
                ("/probe/app/readiness", 200),
                ("/probe/app/liveness", 200),
                ("/probe/app/startup", 200),
                ("/probe/db/liveness", 503),
                ("/probe/grpc/liveness", 200),
                ("/probe/grpc/readiness", 503),
                ("/probe/app/other", 404),
                ("/status", 404),
                ("/revocations", 404),
                ("/.well-known/jwks.json", 404),
                ("/accounts/7", 404),
            ] {
                let answer = plain_get(address, path).await.unwrap();
                assert_eq!(answer.status, status, "{address}{path}: {}", answer.body);
                assert!(status == 200 || answer.body.len() < 60, "{}", answer.body);
            }
        }
        assert_eq!((app.count(), six.count()), (2, 2));
        grpc.reporter.set_service_status("shop.Orders", ServingStatus::Serving).await;
        let [address, _] = at_pod(9902);
        assert_eq!(plain_get(address, "/probe/grpc/readiness").await.unwrap().status, 200);

        let stream = TcpStream::connect(address).await.unwrap();
        let request = "GET /probe/app/readiness?x=1 HTTP/1.1\r\nHost: elsewhere\r\nCookie: a=b\r\n\r\n";
        assert_eq!(exchange(stream, request).await.body, "ok\n");
        let asked = app.received().pop().unwrap();
        assert_eq!((asked.target.as_str(), asked.header("host")), ("/healthz?deep=1", Some("app.internal")));
        assert_eq!((asked.header("x-probe"), asked.header("cookie")), (Some("yes"), None));
        let stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(
            exchange(stream, "POST /probe/app/readiness HTTP/1.1\r\nHost: a\r\n\r\n").await.status,
            405
        );

        hangs_up(address, &app).await;
        one_address_leaves_room_for_others().await;
        drop(pod);
    });
}

/// The network reaches this port: whoever holds connections open holds them of its own share.
async fn one_address_leaves_room_for_others() {
    let [four, six] = at_pod(9902);
    let connections = (0..40).map(|_| TcpStream::connect(four));
    let held = futures_util::future::join_all(connections).await;
    let refused = async || plain_refused(four).await.then_some(());
    eventually("an address to have enough", refused).await;
    assert_eq!(plain_get(six, "/live").await.unwrap().status, 200, "others are served");
    drop(held);
    let served = async || (!plain_refused(four).await).then_some(());
    eventually("the address to be served again", served).await;
}

/// Whether a connection is closed without a word.
async fn plain_refused(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.write_all(b"GET /live HTTP/1.1\r\nHost: pod\r\n\r\n").await;
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    answer.is_empty()
}

/// The kubelet's patience is its own: when it hangs up, the service is not asked any longer.
async fn hangs_up(address: SocketAddr, app: &Echo) {
    let mut kubelet = TcpStream::connect(address).await.unwrap();
    kubelet.write_all(b"GET /probe/app/post-start HTTP/1.1\r\nHost: pod\r\n\r\n").await.unwrap();
    app.held().await;
    assert_eq!(app.abandoned(), 0);
    drop(kubelet);
    eventually("the question to be abandoned", async || (app.abandoned() == 1).then_some(())).await;
}
