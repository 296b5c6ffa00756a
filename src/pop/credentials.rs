//! Where the access token is: in the one `Authorization` header, under the scheme `DPoP` or `Bearer`
//! (RFC 6750 section 2.1, RFC 9449 section 7.1), and nowhere else.

use super::{Denial, Request, percent};
use http::header;
use std::fmt;

/// The authentication scheme that came with the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449.
    Dpop,
}

impl Scheme {
    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => "DPoP",
        }
    }
}

/// An access token and the scheme it came under.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The scheme.
    pub scheme: Scheme,
    token: &'a str,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} …)", self.scheme.name())
    }
}

impl<'a> Credentials<'a> {
    /// Reads them, of the `Authorization` header (BEAR-01, FAPI-01). More than one set is ambiguous (RFC 9449
    /// section 7.2; DPOP-33, BEAR-02), a token in the query is refused (RFC 9700 section 4.3.2; BEAR-04, FAPI-02,
    /// SBCP-07), a scheme that is not ours is no credentials for us, and a name of ours is read in any case
    /// (DPOP-24).
    pub fn of(request: &Request<'a>) -> Result<Self, Denial> {
        if request.query.is_some_and(has_access_token) {
            return Err(Denial::CredentialsInQuery);
        }
        let mut fields = request.headers.get_all(header::AUTHORIZATION).iter();
        let field = fields.next().ok_or(Denial::CredentialsMissing)?;
        if fields.next().is_some() {
            return Err(Denial::CredentialsAmbiguous);
        }
        let text = field.to_str().map_err(|_| Denial::CredentialsMalformed)?;
        // `credentials = auth-scheme 1*SP token68` (RFC 9110 section 11.4)
        let (scheme, token) = text.split_once(' ').ok_or(Denial::CredentialsMalformed)?;
        let scheme = match scheme {
            s if s.eq_ignore_ascii_case("DPoP") => Scheme::Dpop,
            s if s.eq_ignore_ascii_case("Bearer") => Scheme::Bearer,
            s if !s.is_empty() && s.bytes().all(is_scheme_character) => {
                return Err(Denial::CredentialsMissing);
            }
            _ => return Err(Denial::CredentialsMalformed),
        };
        let token = token.trim_start_matches(' ');
        if is_token68(token) { Ok(Credentials { scheme, token }) } else { Err(Denial::CredentialsMalformed) }
    }

    /// The access token exactly as received. A secret: it is hashed and verified, never shown.
    pub fn token(&self) -> &'a str {
        self.token
    }
}

fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    // Without an early end the compiler compares many bytes at a time.
    !body.is_empty() && body.bytes().fold(true, |all, byte| all & is_token68_character(byte))
}

fn is_token68_character(byte: u8) -> bool {
    // Between `-` and `9` there are `.`, `/` and the digits.
    byte.is_ascii_alphabetic() || matches!(byte, b'-'..=b'9' | b'_' | b'~' | b'+')
}

fn is_scheme_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a query has a token in it, however its name is spelled (BEAR-04).
pub(super) fn has_access_token(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        percent::decoded(name.as_bytes()).eq(b"access_token".iter().copied())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::target_uri::Origin;
    use http::HeaderValue;

    fn of(uri: &str, fields: &[&[u8]]) -> Result<(Scheme, String), Denial> {
        let mut request = http::Request::builder().uri(uri).header("host", "a");
        for field in fields {
            request = request.header("authorization", HeaderValue::from_bytes(field).unwrap());
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let request = Request::of(&parts, None, &[Origin::parse("https://a").unwrap()]).unwrap();
        Credentials::of(&request).map(|c| (c.scheme, c.token().to_owned()))
    }

    /// DPOP-24, BEAR-01, FAPI-01, DG-005
    #[test]
    fn the_scheme_is_case_insensitive_and_may_be_followed_by_spaces() {
        for field in ["DPoP a.b.c", "dpop a.b.c", "DPOP  a.b.c"] {
            assert_eq!(of("/", &[field.as_bytes()]), Ok((Scheme::Dpop, "a.b.c".to_owned())));
        }
        assert_eq!(of("/", &[b"bearer a~+/-_.=="]), Ok((Scheme::Bearer, "a~+/-_.==".to_owned())));
    }

    /// DPOP-24, DG-006, TK-027, AU-003, AU-008
    #[test]
    fn anything_else_is_malformed() {
        for field in [
            &b"DPoP"[..],
            b"DPoP ",
            b"DPoP\ta.b.c",
            b"DPoP=a",
            b"DPoPa",
            b"DPoP a, realm=x",
            b"DPoP a, Bearer b",
            b"Bearer Bearer a",
            b"DPoP a b",
            b"DPoP \"a\"",
            b"DPoP a%2Eb",
            b"DPoP =",
            b"DPoP \xffa",
            b" DPoP a",
        ] {
            assert_eq!(of("/", &[field]), Err(Denial::CredentialsMalformed), "{}", field.escape_ascii());
        }
    }

    /// DPOP-33, BEAR-02, AU-001
    #[test]
    fn missing_foreign_and_ambiguous_are_told_apart() {
        assert_eq!(of("/", &[]), Err(Denial::CredentialsMissing));
        assert_eq!(of("/", &[b"Basic dTpw"]), Err(Denial::CredentialsMissing));
        assert_eq!(of("/", &[b"Bearer a", b"DPoP b"]), Err(Denial::CredentialsAmbiguous));
        assert_eq!(of("/", &[b"DPoP a", b"DPoP a"]), Err(Denial::CredentialsAmbiguous));
    }

    /// BEAR-04, FAPI-02, SBCP-07, AU-005
    #[test]
    fn a_token_in_the_query_is_refused_however_it_is_spelled() {
        for uri in [
            "/?access_token=x",
            "/?a=b&access_token=x",
            "/?access%5Ftoken=x",
            "/?%61ccess_token",
            "/?a;access_token=x",
        ] {
            assert_eq!(of(uri, &[b"Bearer a"]), Err(Denial::CredentialsInQuery), "{uri}");
            assert_eq!(of(uri, &[]), Err(Denial::CredentialsInQuery), "{uri}");
        }
        assert!(of("/?access_tokens=x&b=access_token&x%", &[b"Bearer a"]).is_ok());
    }

    /// SBCP-06
    #[test]
    fn debug_shows_no_token() {
        let credentials = Credentials { scheme: Scheme::Dpop, token: "secret" };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
