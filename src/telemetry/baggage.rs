//! W3C Baggage, pure: which of a caller's members the service gets.
//!
//! Source: W3C Baggage section 3.3 (header) and 3.3.2 (limits). A member that breaks the grammar goes, and so does what
//! is beyond 64 members or 8192 bytes; the others pass as they came, in their order. Names that the service could take
//! for our identity headers never pass (SBCP-04). Whose baggage passes at all is not decided here.

use crate::pop::percent;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What passes of the baggage in these headers.
pub(super) fn of(headers: &HeaderMap) -> Option<HeaderValue> {
    if !headers.contains_key(BAGGAGE) || is_hop_by_hop(headers) {
        return None;
    }
    let lines = headers.get_all(BAGGAGE).iter().filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(',')).map(|member| member.trim_matches(OWS));
    let mut passing = String::new();
    for member in members.filter(|member| is_member(member)).take(MEMBERS) {
        let comma = usize::from(!passing.is_empty());
        if passing.len() + comma + member.len() > BYTES {
            break;
        }
        passing.push_str(if comma == 1 { "," } else { "" });
        passing.push_str(member);
    }
    if passing.is_empty() { None } else { HeaderValue::try_from(passing).ok() }
}

/// Writes what passes. What the caller sent must be gone.
pub(super) fn write(passing: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(BAGGAGE, passing);
}

/// `Connection: baggage` means: not any further (RFC 9110 section 7.6.1).
fn is_hop_by_hop(headers: &HeaderMap) -> bool {
    let options = headers.get_all(header::CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"baggage"))
}

/// `key = value *( ; property )`
fn is_member(member: &str) -> bool {
    let mut parts = member.split(';').map(|part| part.trim_matches(OWS));
    let named = parts.next().and_then(|pair| pair.split_once('=')).is_some_and(|(key, value)| {
        let key = key.trim_matches(OWS);
        is_token(key) && !is_ours(key) && is_value(value.trim_matches(OWS))
    });
    named
        && parts.all(|property| match property.split_once('=') {
            Some((key, value)) => is_token(key.trim_matches(OWS)) && is_value(value.trim_matches(OWS)),
            None => is_token(property),
        })
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_of_token)
}

/// No control, space, quote, comma, semicolon or backslash. May be empty.
fn is_value(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b))
}

/// `clinch-subject` in whatever spelling, percent-encoded ones included: the standard knows none in names, and some
/// services decode them.
fn is_ours(key: &str) -> bool {
    let folded = percent::decoded(key.as_bytes())
        .map(|b| if b == b'_' || b == b'.' { b'-' } else { b.to_ascii_lowercase() });
    folded.take(OURS.len()).eq(OURS.iter().copied())
}

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const OURS: &[u8] = b"clinch-";
const OWS: [char; 2] = [' ', '\t'];
const MEMBERS: usize = 64;
const BYTES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(BAGGAGE, line.parse().unwrap());
        }
        of(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn good_members_pass_as_they_came() {
        let all = "userId=alice,serverNode=DF%2028,isProduction=false;p1;p2 = x";
        assert_eq!(passing(&[all]).as_deref(), Some(all));
        assert_eq!(passing(&["a=1 , b=2", "c="]).as_deref(), Some("a=1,b=2,c="));
        assert_eq!(passing(&[]), None);
        assert_eq!(passing(&["", " , "]), None);
    }

    #[test]
    fn what_breaks_the_grammar_goes_alone() {
        let odd = "a=1,b,=2,c d=3,e=\"4\",f=5\\,g=6;=7,h=8;p=\",b=x=y";
        assert_eq!(passing(&[odd, "é=9"]).as_deref(), Some("a=1,b=x=y"));
    }

    /// SBCP-04
    #[test]
    fn our_names_do_not_pass() {
        assert_eq!(
            passing(&[
                "clinch-subject=root,Clinch_Key=x,CLINCH.client=y,clinched=z,%63linch-a=1,%43LINCH%5Fb=2,%6=y"
            ])
            .as_deref(),
            Some("clinched=z,%6=y")
        );
    }

    #[test]
    fn there_are_64_members_and_8192_bytes() {
        let list = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(passing(&[&list(64)]), Some(list(64)));
        assert_eq!(passing(&[&list(65)]), Some(list(64)));
        let exact = format!("a={},b=1", "x".repeat(8192 - 6));
        assert_eq!(exact.len(), 8192);
        assert_eq!(passing(&[&exact]), Some(exact.clone()));
        let beyond = format!("{exact}2,c=3");
        assert_eq!(passing(&[&beyond]).map(|passing| passing.len()), Some(8192 - 4));
    }

    #[test]
    fn what_is_for_this_hop_goes_no_further() {
        let mut headers = HeaderMap::new();
        headers.append(BAGGAGE, HeaderValue::from_static("a=1"));
        headers.append(header::CONNECTION, HeaderValue::from_static("close, Baggage"));
        assert_eq!(of(&headers), None);
    }
}
