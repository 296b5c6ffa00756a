//! A service whose answers do not end: it tells how many of its requests are still open.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// A running service. By the last segment of the path: `events` come every few milliseconds, `silent` says one word
/// and no more, `flood` sends as much as is taken, `wait` never begins to answer.
pub struct Streaming {
    /// Where it listens, without TLS.
    pub address: SocketAddr,
    open: Arc<AtomicUsize>,
}

impl Streaming {
    /// Starts it on an ephemeral port.
    pub async fn start() -> Streaming {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, open) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                let service = service_fn(move |request| answer(request, Open::new(&count)));
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Streaming { address, open }
    }

    /// How many requests have come and not ended.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// A request that has come and not ended.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Open {
        count.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

type Body =
    StreamBody<std::pin::Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

async fn answer(request: Request<Incoming>, open: Open) -> Result<Response<Body>, Infallible> {
    let kind = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    if kind == "wait" {
        std::future::pending::<()>().await;
    }
    let frames = stream::unfold((0_u32, open), move |(number, open)| {
        let kind = kind.clone();
        async move {
            match (kind.as_str(), number) {
                ("silent", 1..) => std::future::pending().await,
                ("flood", _) => {}
                (_, 0) => {}
                (_, _) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            let word =
                if kind == "flood" { Bytes::from(vec![b'x'; 64 * 1024]) } else { Bytes::from_static(WORD) };
            Some((Ok(Frame::data(word)), (number + 1, open)))
        }
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    Ok(response.body(StreamBody::new(Box::pin(frames) as _)).expect("a valid response"))
}

/// One event.
pub const WORD: &[u8] = b"data: still here\n\n";
