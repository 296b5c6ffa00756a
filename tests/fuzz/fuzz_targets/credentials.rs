//! One set of credentials, or none: the token is what the one Authorization field says, nothing else gets in.
#![no_main]

use arbitrary::Arbitrary;
use clinch::pop::credentials::{Credentials, Scheme};
use clinch::pop::{Denial, Request};
use clinch_fuzz::forge::{ORIGINS, parts};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Story {
    query: Option<String>,
    fields: Vec<Field>,
}

#[derive(Arbitrary, Debug)]
enum Field {
    Near { scheme: u8, spaces: u8, token: Vec<u8>, pad: u8, after: u8 },
    Bytes(Vec<u8>),
}

const SCHEMES: [&str; 8] = ["DPoP", "Bearer", "dpop", "bEARER", "Basic", "DPoP:", "Bearer,", "DPoP\u{b}"];
const AFTER: [&str; 6] = ["", "", " ", ", DPoP b", ", Bearer b", " b"];

impl Field {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Field::Bytes(bytes) => bytes.clone(),
            Field::Near { scheme, spaces, token, pad, after } => {
                let mut bytes = SCHEMES[usize::from(*scheme) % SCHEMES.len()].as_bytes().to_vec();
                bytes.extend(std::iter::repeat_n(b' ', usize::from(*spaces) % 4));
                bytes.extend(token);
                bytes.extend(std::iter::repeat_n(b'=', usize::from(*pad) % 3));
                bytes.extend(AFTER[usize::from(*after) % AFTER.len()].as_bytes());
                bytes
            }
        }
    }
}

fuzz_target!(|story: Story| {
    let fields: Vec<Vec<u8>> = story.fields.iter().take(3).map(Field::bytes).collect();
    let mut headers = vec![("host", &b"api.example.com"[..])];
    headers.extend(fields.iter().map(|field| ("authorization", field.as_slice())));
    let target = story.query.as_ref().map_or("/".to_owned(), |query| format!("/?{query}"));
    let Some(parts) = parts("GET", &target, &headers) else { return };
    let Ok(request) = Request::of(&parts, None, &*ORIGINS) else { panic!("the root is beyond doubt") };

    let in_query = request.query.is_some_and(names_a_token);
    let naive = match fields.as_slice() {
        [one] if !in_query => read(one),
        _ => None,
    };
    match Credentials::of(&request) {
        Ok(credentials) => {
            let ours = (credentials.scheme, credentials.token());
            assert_eq!(Some(ours), naive, "{story:?}");
            assert!(
                !format!("{credentials:?}").contains(credentials.token()) || credentials.token().len() < 12
            );
        }
        Err(denial) => {
            assert!(naive.is_none(), "{denial:?}: {story:?}");
            let expected = match denial {
                Denial::CredentialsInQuery => in_query,
                Denial::CredentialsAmbiguous => fields.len() > 1,
                Denial::CredentialsMissing => fields.len() < 2,
                Denial::CredentialsMalformed => fields.len() == 1,
                _ => false,
            };
            assert!(expected, "{denial:?}: {story:?}");
        }
    }
});

/// `auth-scheme 1*SP token68` and not a byte more (RFC 9110 section 11.2 and 11.4).
fn read(field: &[u8]) -> Option<(Scheme, &str)> {
    let text = std::str::from_utf8(field).ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "dpop" => Scheme::Dpop,
        "bearer" => Scheme::Bearer,
        _ => return None,
    };
    let token = rest.trim_start_matches(' ');
    let without = token.trim_end_matches('=');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    (!without.is_empty() && without.chars().all(plain)).then_some((scheme, token))
}

/// Whether a form has a field of that name (RFC 6750 section 2.3), with either separator that servers know.
fn names_a_token(query: &str) -> bool {
    let form =
        |text: &str| url::form_urlencoded::parse(text.as_bytes()).any(|(name, _)| name == "access_token");
    form(query) || form(&query.replace(';', "&"))
}
