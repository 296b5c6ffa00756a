//! Nobody takes what the API server's reviews and the kubelet's probes need.

use crate::support::PATIENCE;
use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{connect, over, pod, review, send};
use crate::support::temporary::Folder;
use crate::support::wire::{exchange, parse, rest};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// Another pod, or the node.
async fn from_elsewhere(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

fn upload(length: usize) -> String {
    format!(
        "POST /inject/pod HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// WH-014
#[tokio::test(flavor = "multi_thread")]
async fn stalled_uploads_of_one_address_keep_no_review_of_another_waiting() {
    let mut slowest = Duration::MAX;
    for _attempt in 0..3 {
        if slowest >= SOON {
            slowest = slowest_review_beside_stalled_uploads().await;
        }
    }
    assert!(slowest < SOON, "{slowest:?}");
}

/// Whoever waits for a stalled upload waits for two seconds at the least.
const SOON: Duration = Duration::from_secs(1);

async fn slowest_review_beside_stalled_uploads() -> Duration {
    let (pki, folder) = (Pki::new(), Folder::new());
    let injector = Injector::start(&write_with_files(&folder, &pki, "", "")).await;
    let bundle = pki.ca_pem.as_bytes();
    let mut stalled = Vec::new();
    for number in 0..64 {
        let mut stream = connect(injector.address, bundle, None, false).await.unwrap();
        stream.write_all(upload(8 << 20).as_bytes()).await.unwrap();
        // Some send all but the end, as far as it is taken.
        if number < 4 {
            let most = vec![b' '; (8 << 20) - 1];
            let _ = timeout(Duration::from_millis(200), stream.write_all(&most)).await;
        }
        let _ = timeout(Duration::from_millis(200), stream.flush()).await;
        stalled.push(stream);
    }
    // The last ones are as young as can be: all permits would be theirs.
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        let stream = over(from_elsewhere(injector.address).await, bundle, None, true).await.unwrap();
        let response = send(stream, "/inject/namespace", &review("shop", &pod())).await.unwrap();
        assert_eq!(response["allowed"], true);
        slowest = slowest.max(begun.elapsed());
    }
    let mut last = stalled.pop().unwrap();
    let mut answer = vec![0; 4096];
    let read = timeout(PATIENCE, last.read(&mut answer)).await.expect("408 in time").unwrap();
    assert_eq!(parse(&String::from_utf8_lossy(&answer[..read])).status, 408);
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_share_of_connections_and_the_kubelet_gets_through() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let injector = Injector::start(&write_with_files(&folder, &pki, "", "")).await;
    for (address, most) in [(injector.address, 64), (injector.admin, 16)] {
        let mut held = Vec::new();
        for _ in 0..most {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        let mut beyond = TcpStream::connect(address).await.unwrap();
        assert_eq!(rest(&mut beyond).await.as_deref(), Some(&[][..]), "closed without a word");
        if address == injector.admin {
            let get = "GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            assert_eq!(exchange(from_elsewhere(address).await, get).await.status, 200);
        } else {
            let stream = from_elsewhere(address).await;
            over(stream, pki.ca_pem.as_bytes(), None, true).await.unwrap();
        }
    }
}
