//! What runs in processes of its own: the service, the plain proxy, and the signature check to compare with.

use crate::account::own_cpu_nanos;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use bytes::Bytes;
use http::{Request, Response, Uri, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A service that answers everything with the same short JSON. Prints its address.
pub(crate) fn service() {
    on_one_thread(async {
        let listener = announced().await;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let service = service_fn(|_: Request<Incoming>| async {
                    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
                    let json = header::HeaderValue::from_static("application/json");
                    response.headers_mut().insert(header::CONTENT_TYPE, json);
                    Ok::<_, Infallible>(response)
                });
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// hyper and rustls as their documentation puts them together: TLS in, a pool of HTTP/1.1 connections out,
/// no header looked at. Prints its address.
pub(crate) fn plain_proxy(service: &str, certificate: &str, key: &str, clients_ca: &str) {
    on_one_thread(async {
        let acceptor = acceptor(certificate, key, clients_ca);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
        let service: Arc<str> = service.into();
        let listener = announced().await;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (acceptor, pool, service) = (acceptor.clone(), pool.clone(), Arc::clone(&service));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let forward = service_fn(move |request| {
                    let (pool, service) = (pool.clone(), Arc::clone(&service));
                    async move { pool.request(forwarded(request, &service)).await }
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), forward).await;
            });
        }
    });
}

fn forwarded(mut request: Request<Incoming>, service: &str) -> Request<Incoming> {
    let path = request.uri().path_and_query().unwrap().clone();
    let uri = Uri::builder().scheme("http").authority(service).path_and_query(path);
    *request.uri_mut() = uri.build().unwrap();
    *request.version_mut() = Version::HTTP_11;
    for name in [header::CONNECTION, header::TE, header::TRANSFER_ENCODING, header::UPGRADE] {
        request.headers_mut().remove(name);
    }
    request
}

fn acceptor(certificate: &str, key: &str, clients_ca: &str) -> tokio_rustls::TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let mut anchors = rustls::RootCertStore::empty();
    anchors.add(CertificateDer::from_pem_file(clients_ca).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(anchors)).allow_unauthenticated().build().unwrap();
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

/// CPU nanoseconds of one P-256 verification, key parsing included, by the library that clinch uses. Keys, messages and signatures
/// change as those of proofs do: the same one again and again is faster than any proof can be.
pub(crate) fn signature_nanos() -> u64 {
    let keys: Vec<SigningKey> = (1..=16).map(|n| SigningKey::from_slice(&[n; 32]).unwrap()).collect();
    let proofs = (0..1024_usize).map(|number| {
        let (key, mut message) = (&keys[number % keys.len()], [b'x'; 400]); // about what a proof has
        message[..8].copy_from_slice(&number.to_le_bytes());
        let signature: Signature = key.sign(&message);
        let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        (UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public), message, signature.to_bytes())
    });
    let proofs: Vec<_> = proofs.collect();
    let verify = |number: usize| {
        let (key, message, signature) = &proofs[number % proofs.len()];
        key.verify(std::hint::black_box(message), signature).unwrap();
    };
    (0..200).for_each(verify);
    let before = own_cpu_nanos();
    (200..200 + VERIFICATIONS).for_each(verify);
    (own_cpu_nanos() - before) / VERIFICATIONS as u64
}

async fn announced() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    listener
}

/// Runs it on one thread.
pub(crate) fn on_one_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

const ANSWER: &[u8] = br#"{"account":"DE02-1203-0000","balance":"104.20"}"#;
const VERIFICATIONS: usize = 3000;
