//! Beyond the catalogue: what else a hostile mind would write into a header field or a request line.

use super::answers::Code::{A0, A1, A2, A4, A7, A8, Closed, Method};
use super::case::{Call, Case, PATH, broken, each, granted, refused};
use super::claims::named;
use super::stage::Stage;
use crate::support::echo::Received;
use crate::support::proof::Jwt;

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_nobody_thought_of() {
    let stage = Stage::start().await;
    stage.run([hosts(), paths(), methods(), fields(), trailers()].into_iter().flatten().collect()).await;
    stage.finish().await;
}

fn hosts() -> Vec<Case> {
    let at = |host: &'static str| move |s: &Stage| s.good(PATH).hosts(&[host]);
    let mut cases = each(
        [
            "api.example.com.",
            "api.example.com:80",
            "api.example.com:8443",
            "evil.example",
            "localhost",
            "127.0.0.2",
            "[::2]",
            "[::ffff:127.0.0.1]",
            "api.example.com.evil.example",
            "xn--bcher-kva.example.",
            "a_b",
        ],
        |host| refused("host", A8, "host_unknown", at(host)),
    );
    cases.extend(each(
        [
            "api.example.com:00443",
            "api.example.com:+443",
            "api.example.com:443 ,x",
            "api.example.com:99999",
            "[fe80::1%25eth0]",
            "[::1]x",
            "api.example.com:http",
            "api%2eexample.com",
            "api.example.com\\@evil",
            "[",
            "]",
            "[]",
            ":443",
            "api..com\t x",
        ],
        |host| refused("host", A7, "request_malformed", at(host)),
    ));
    cases.extend(each(
        ["API.EXAMPLE.COM", "api.example.com:443", "api.example.com:", "Api.Example.Com:443"],
        |host| granted("host", |r: &Received| r.header("host") == Some("api.example.com"), at(host)),
    ));
    let absolute = |target: &'static str| move |s: &Stage| s.good(PATH).target(target);
    cases.extend(each(
        [
            "https://api.example.com@evil.example/orders/7",
            "https://evil@api.example.com/orders/7",
            "https://api.example.com:0443/orders/7",
        ],
        |target| refused("target", A7, "request_malformed", absolute(target)),
    ));
    cases.extend(each(
        [
            "HTTP://api.example.com/orders/7",
            "ws://api.example.com/orders/7",
            "wss://api.example.com/orders/7",
        ],
        |target| refused("target", A7, "request_malformed", absolute(target)),
    ));
    cases
}

fn paths() -> Vec<Case> {
    let at = |target: &'static str| move |_: &Stage| Call::get(target);
    let mut cases = each(
        [
            "/public/%2e%2e%2e/../orders/7",
            "/public/x%00",
            "/public/%0d%0aX:%201",
            "/public/%7f",
            "/public/.;a=b/x",
            "/public/%2E%2E;x/orders/7",
            "/public/x/%5c..%5corders",
            "/public/..%3Bx/orders/7",
            "/public/./x",
            "/public/.",
            "/public/..",
            "/public//x",
            "/public/%2F",
        ],
        |target| refused("path", A7, "path_ambiguous", at(target)),
    );
    cases.extend(each(
        [
            "/public/%zz",
            "/public/%",
            "/public/%2",
            "/public/%u002e%u002e/x",
            "/public/a|b",
            "/public/a^b",
            "/public/[x]",
            "/public/{x}",
            "/public/\"x\"",
        ],
        |target| refused("path", A7, "request_malformed", at(target)),
    ));
    cases.extend(each(
        [
            "/Public/x",
            "/PUBLIC/x",
            "/public",
            "/publicx/x",
            "/public;/x",
            "/publi%63;x/y",
            "/orders",
            "/ORDERS/7",
            "/healt%68z",
            "/.well-known/x",
            "/metrics",
            "/ready",
        ],
        |target| refused("path", Closed, "route_unknown", at(target)),
    ));
    cases.extend(each(
        [
            "/publi%63/x",
            "/public/x;y",
            "/public/X",
            "/public/x?y=../../z",
            "/public/...",
            "/public/.x",
            "/public/%252e%252e/x",
        ],
        |target| granted("path", move |r: &Received| r.target == target, at(target)),
    ));
    // A fragment is cut off before anybody looks, and so it is for the service.
    cases.push(granted(
        "fragment",
        |r: &Received| r.target == PATH,
        |s| named(s, "api.example.com", "/orders/7#/../../x", "https://api.example.com/orders/7"),
    ));
    cases.extend(each(["/public/`x`", "/orders/7 x", "/orders/\u{7f}", " /orders/7", ""], |target| {
        broken("path", 400, at(target))
    }));
    cases
}

fn methods() -> Vec<Case> {
    let mut cases = each(["POST", "get", "PUT", "GETS", "OPTIONS", "HEAD", "DELETE", "X-Y"], |method| {
        refused("method", Method, "method_not_allowed", move |s| s.good_for(method, "/only/get"))
    });
    cases.push(granted("method", |r: &Received| r.method == "GET", |s| s.good("/only/get")));
    cases.extend(each(["G\0ET", "GÉT", "GET\t", "(GET)", "GET:", "", "G ET"], |method| {
        broken("method", 400, move |_| Call::get("/public/x").method(method))
    }));
    cases
}

fn fields() -> Vec<Case> {
    let mut cases = each(
        [
            "Content_Length",
            "Transfer_Encoding",
            "Content.Length",
            "Host_",
            "X_Forwarded_For",
            "X.Forwarded.For",
            "Proxy",
            "Remote_User",
            "Client_Cert",
            "X-Client-Cert",
            "SSL_CLIENT_CERT",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X_Original_Url",
            "True-Client-IP",
            "DPoP_",
            "Via_",
            "Keep-Alive",
            "Proxy-Connection",
        ],
        |name| {
            let seen = name.to_lowercase();
            let foreign = !["host_", "dpop_", "via_"].contains(&&*seen);
            granted(
                "field",
                move |r: &Received| r.headers.iter().all(|(n, v)| !(foreign && *n == seen) || v != "spoof"),
                move |s| s.good(PATH).field(name, "spoof"),
            )
        },
    );
    cases.extend(each(["DPoP_", "DPoP.", "X-DPoP", "D-PoP"], |name| {
        refused("a proof under another name", A1, "proof_missing", move |s| {
            let call = s.good(PATH);
            let proof = call.fields[1].1.clone();
            call.without("DPoP").field(name, proof)
        })
    }));
    cases.extend(each(["Basic dTpw", "Negotiate x", "dpopx y", "Bearer2 x", "DPoP-Bearer x"], |value| {
        refused("another scheme", A0, "credentials_missing", move |_| {
            Call::get(PATH).field("Authorization", value)
        })
    }));
    cases.extend(each(
        [
            "",
            "DPoP",
            "DPoP ",
            "Bearer",
            ", DPoP x",
            "DPoP x,",
            "\"DPoP\" x",
            "DPoP x=y",
            "=",
            "DPoP =",
            "DPoP x\ty",
        ],
        |value| {
            refused("no credentials", A4, "credentials_malformed", move |_| {
                Call::get(PATH).field("Authorization", value)
            })
        },
    ));
    cases.push(refused("a token that is a proof", A2, "token_type", |s| {
        let proof = s.good_proof("x").claim("iss", s.issuer.name.as_str()).sign(&s.key);
        Call::get(PATH).dpop(&proof, &s.good_proof(&proof).sign(&s.key))
    }));
    cases.push(refused(
        "more credentials in a second field of the same value",
        A4,
        "credentials_ambiguous",
        |s| {
            let call = s.good(PATH);
            let own = call.fields[0].1.clone();
            call.field("authorization", own)
        },
    ));
    cases
}

fn trailers() -> Vec<Case> {
    let post = |s: &Stage, trailers: &str| {
        let call =
            s.good_for("POST", PATH).field("Transfer-Encoding", "chunked").field("Trailer", "Clinch-Subject");
        call.body(format!("5\r\nhello\r\n0\r\n{trailers}\r\n"))
    };
    let clean = |r: &Received| {
        r.body == "hello"
            && r.header("clinch-subject") == Some("alice")
            && r.trailers.iter().all(|(_, v)| v != "root")
    };
    let mut cases = each(
        [
            "Clinch-Subject",
            "clinch_key",
            "Authorization",
            "Host",
            "Content-Length",
            "X-Groups",
            "X-Forwarded-For",
            "Remote-User",
        ],
        |name| granted("trailer", clean, move |s| post(s, &format!("{name}: root\r\n"))),
    );
    cases.push(refused("credentials in trailers", A0, "credentials_missing", move |s| {
        let (token, call) =
            (s.good_token(), Call::get(PATH).method("POST").field("Transfer-Encoding", "chunked"));
        let proof = Jwt::new(&s.key, "POST", "https://api.example.com/orders/7", &token).sign(&s.key);
        call.body(format!("0\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n\r\n"))
    }));
    cases
}
