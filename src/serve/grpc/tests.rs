use super::*;
use crate::pop::Denial;
use crate::serve::response::{self, Fault};
use hyper::body::Body as _;

fn of_kind(kind: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::try_from(kind).unwrap())])
}

#[test]
fn grpc_is_http_2_with_its_content_type() {
    for kind in ["application/grpc", "application/grpc+proto", "Application/GRPC; charset=utf-8"] {
        assert!(is_spoken(Version::HTTP_2, &of_kind(kind)), "{kind}");
        assert!(!is_spoken(Version::HTTP_11, &of_kind(kind)), "{kind} over HTTP/1.1");
    }
    for kind in
        ["application/grpc-web", "application/grpc-web+proto", "application/grp", "text/application/grpc"]
    {
        assert!(!is_spoken(Version::HTTP_2, &of_kind(kind)), "{kind}");
    }
    assert!(!is_spoken(Version::HTTP_2, &HeaderMap::new()));
}

#[test]
fn a_refusal_is_the_last_word_and_keeps_its_metadata() {
    let challenges = ["DPoP", "Bearer"].map(HeaderValue::from_static);
    let mut response = response::refusal(Denial::TokenRevoked, challenges.to_vec(), None);
    translate(&mut response);
    assert_eq!(response.status(), 200);
    assert!(response.body().is_end_stream());
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "16");
    assert_eq!(headers["grpc-message"], "token_revoked: the token has been revoked");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers.get_all("www-authenticate").iter().count(), 2);
}

#[test]
fn every_refusal_has_a_code_that_says_what_it_is() {
    for denial in Denial::ALL {
        let mut response = response::refusal(*denial, Vec::new(), None);
        let later = response.headers().contains_key("retry-after");
        translate(&mut response);
        let expected = match denial.status().as_u16() {
            400 | 421 | 500 => "13",
            401 => "16",
            403 => "7",
            404 | 405 | 501 => "12",
            429 => "8",
            503 => "14",
            other => panic!("{denial:?}: {other}"),
        };
        assert_eq!(response.headers()["grpc-status"], expected, "{denial:?}");
        assert_eq!(response.headers().contains_key("retry-after"), later, "{denial:?}");
    }
    for (fault, expected) in [
        (Fault::UpstreamUnreachable, "14"),
        (Fault::UpstreamBroken, "14"),
        (Fault::UpstreamTimeout, "4"),
        (Fault::DeadlineExceeded, "4"),
        (Fault::RequestAborted, "13"),
        (Fault::RequestTimeout, "4"),
        (Fault::WebSocketUnsupported, "12"),
        (Fault::UpstreamBusy, "14"),
        (Fault::Loop, "13"),
    ] {
        let mut response = response::fault(fault);
        translate(&mut response);
        assert_eq!(response.headers()["grpc-status"], expected, "{fault:?}");
    }
}

#[test]
fn a_success_of_ours_stays_one() {
    let mut response = Response::new(ResponseBody::own(Bytes::from_static(b"{}")));
    translate(&mut response);
    assert!(!response.headers().contains_key("grpc-status") && !response.body().is_end_stream());
}

#[test]
fn a_message_is_percent_encoded() {
    assert_eq!(encoded("100 % sûr\n~"), "100 %25 s%C3%BBr%0A~");
}

#[test]
fn a_time_limit_is_eight_digits_and_a_unit() {
    let limit =
        |text: &str| time_limit(&HeaderMap::from_iter([(TIMEOUT, HeaderValue::try_from(text).unwrap())]));
    assert_eq!(limit("1S"), Some(Duration::from_secs(1)));
    assert_eq!(limit("250m"), Some(Duration::from_millis(250)));
    assert_eq!(limit("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    assert_eq!(limit("7u"), Some(Duration::from_micros(7)));
    assert_eq!(limit("7n"), Some(Duration::from_nanos(7)));
    assert_eq!(limit("2M"), Some(Duration::from_secs(120)));
    for none in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "é"] {
        assert_eq!(limit(none), None, "{none:?}");
    }
    let mut twice = HeaderMap::new();
    for value in ["1S", "2S"] {
        twice.append(TIMEOUT, HeaderValue::from_static(value));
    }
    assert_eq!(time_limit(&twice), None);
}
