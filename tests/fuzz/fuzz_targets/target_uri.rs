//! A request path that is accepted means one thing, and an `htu` names it exactly when RFC 3986 says so.
#![no_main]

use arbitrary::Arbitrary;
use clinch::pop::policy::{Access, Requirements, Route, Routes};
use clinch::pop::target_uri::{Origin, TargetUri};
use clinch_fuzz::forge::{ORIGINS, parts};
use clinch_fuzz::naive::{decoded_where_unreserved, normalised};
use http::Method;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

#[derive(Arbitrary, Debug)]
struct Story {
    http2: bool,
    absolute: Option<u8>,
    host: u8,
    path: Vec<Bit>,
    htu: Htu,
}

#[derive(Arbitrary, Debug)]
enum Htu {
    Near(u8, Vec<Bit>, u8),
    Text(String),
}

/// Part of a path.
#[derive(Arbitrary, Debug)]
enum Bit {
    Known(u8),
    Encoded(u8, bool),
    Char(char),
}

impl Bit {
    fn text(bits: &[Bit]) -> String {
        let one = |bit: &Bit| match bit {
            Bit::Known(index) => BITS[usize::from(*index) % BITS.len()].to_owned(),
            Bit::Encoded(byte, true) => format!("%{byte:02X}"),
            Bit::Encoded(byte, false) => format!("%{byte:02x}"),
            Bit::Char(c) => c.to_string(),
        };
        bits.iter().map(one).collect()
    }
}

const BITS: [&str; 24] = [
    "/", "a", "admin", "/admin/", "public", "/public/", ".", "..", "/../", "/./", "//", "..;", ";x=1", "%2e",
    "%2E%2e", "%2f", "%5C", "%3b", "%00", "%25", "\\", "~", "?q", "#f",
];
const ORIGINS_IN_HTU: [&str; 14] = [
    "https://gw.example.com/a",
    "https://gw.example.com/public/a",
    "https://gw.example.com/%61",
    "https://gw.example.com",
    "https://api.example.com",
    "HTTPS://API.Example.com",
    "https://api.example.com:443",
    "https://api.example.com:",
    "https://api.example.com:8443",
    "http://api.example.com",
    "https://user@api.example.com",
    "https://[2001:DB8::1]:8443",
    "https://api.example.com.",
    "",
];
const HOSTS: [&str; 10] = [
    "gw.example.com",
    "GW.example.com:",
    "api.example.com",
    "API.example.com:443",
    "[2001:DB8::1]:8443",
    "api.example.com:",
    "[2001:db8::1]",
    "evil.example",
    "u@api.example.com",
    "api.example.com:0443",
];
const TAILS: [&str; 4] = ["", "?q=1", "#f", "?a#b"];

fuzz_target!(|story: Story| {
    htu_stands_alone(&story.htu);
    let path = Bit::text(&story.path);
    let host = HOSTS[usize::from(story.host) % HOSTS.len()];
    let target = match story.absolute {
        None => path,
        Some(host) => format!("https://{}{path}", HOSTS[usize::from(host) % HOSTS.len()]),
    };
    let Some(mut parts) = parts("GET", &target, &[("host", host.as_bytes())]) else { return };
    if story.http2 {
        parts.version = http::Version::HTTP_2;
    }
    let Ok(uri) = TargetUri::of(&parts, &*ORIGINS) else { return };

    means_one_thing(uri.path());
    let received = if parts.uri.path().is_empty() { "/" } else { parts.uri.path() };
    let again: Vec<String> = received.split('/').map(|s| decoded_where_unreserved(s).unwrap()).collect();
    assert_eq!(again.join("/"), uri.path(), "only spelling changes");
    let origin = &ORIGINS[uri.origin()];
    assert_eq!(format!("{}{}", origin.as_str(), uri.path()), uri.as_str());
    assert_eq!(normalised(uri.as_str()).as_deref(), Some(uri.as_str()), "normalised once and for all");
    let same = self::parts("GET", uri.path(), &[("host", origin.authority().as_bytes())]).unwrap();
    assert_eq!(TargetUri::of(&same, &*ORIGINS).as_ref(), Ok(&uri), "normalised once and for all");

    for tail in TAILS {
        assert!(uri.is_named_by(&format!("{}{tail}", uri.as_str())));
    }
    // The spelling that came is another name for it, by whatever authority it was reached.
    assert!(uri.is_named_by(&format!("{}{received}", origin.as_str())));
    let htu = story.htu.text(uri.as_str());
    // Every origin of the same authority may have been called; below a prefix, nothing and `/` are one path.
    let mut names = ORIGINS.iter().filter(|o| o.authority() == origin.authority()).flat_map(|o| {
        let bare = (uri.path() == "/").then(|| o.as_str().to_owned());
        [Some(format!("{}{}", o.as_str(), uri.path())), bare].into_iter().flatten()
    });
    let named = normalised(&htu).and_then(|htu| names.find(|name| *name == htu));
    assert_eq!(uri.is_named_by(&htu), named.is_some(), "{htu} for {}", uri.as_str());
    if named.is_some() {
        let theirs = url::Url::parse(&htu).expect("what names a resource is a URL to others");
        let theirs = format!("https://{}{}", theirs.authority(), theirs.path());
        assert_eq!(normalised(&theirs), named, "{htu}");
    }
    nobody_enters_admin_by_another_door(uri.path());
});

impl Htu {
    fn text(&self, target: &str) -> String {
        match self {
            Htu::Text(text) => text.clone(),
            Htu::Near(origin, bits, tail) => {
                let origin = ORIGINS_IN_HTU[usize::from(*origin) % ORIGINS_IN_HTU.len()];
                let origin = if origin.is_empty() { target } else { origin };
                format!("{origin}{}{}", Bit::text(bits), TAILS[usize::from(*tail) % TAILS.len()])
            }
        }
    }
}

/// An origin is an https URI in its normal form, and reads back as itself.
fn htu_stands_alone(htu: &Htu) {
    let text = htu.text("");
    if let Ok(origin) = Origin::parse(&text) {
        let slash = if origin.prefix().is_empty() { "/" } else { "" };
        assert_eq!(normalised(&text).unwrap(), format!("{}{slash}", origin.as_str()));
        assert!(!origin.prefix().ends_with('/') && !origin.prefix().contains("//"));
        assert_eq!(Origin::parse(origin.as_str()), Ok(origin.clone()));
    }
}

fn means_one_thing(path: &str) {
    let lower = path.to_ascii_lowercase();
    assert!(path.starts_with('/') && !path.contains("//") && path.is_ascii(), "{path}");
    for hidden in ["%2f", "%5c", "\\", "%2e", "%00", "%0a", "%0d", "%7f", "?", "#", " "] {
        assert!(!lower.contains(hidden), "{path}");
    }
    for segment in lower.split('/') {
        for name in [segment, segment.split(';').next().unwrap(), segment.split("%3b").next().unwrap()] {
            assert!(name != "." && name != "..", "{path}");
        }
    }
}

/// `/admin/**` asks for a token and `/public/**` for nothing. The second rows are as an operator who thinks in
/// capitals would write them.
static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let mut routes = Routes::default();
    for (path, open) in [
        ("/admin/{*rest}", false),
        ("/public/{*rest}", true),
        ("/{one}", true),
        ("/a/{two}/{*rest}", true),
        ("/a/admin", false),
    ] {
        let access = if open { Access::Unprotected } else { Access::Protected(Requirements::default()) };
        routes.add(Route { path: path.into(), methods: Vec::new(), access }).unwrap();
    }
    routes
});

fn nobody_enters_admin_by_another_door(path: &str) {
    let Ok(route) = ROUTES.find(&Method::GET, path) else { return };
    let lenient = seen_by_a_lenient_service(path);
    if lenient.starts_with("/admin/") || lenient == "/a/admin" {
        assert!(route.access != Access::Unprotected, "{path} is {lenient} and went by {}", route.path);
    }
}

/// Parameters cut off, decoded once, empty segments dropped, in lower case.
fn seen_by_a_lenient_service(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let mut bytes = segment.as_bytes();
        let mut seen = Vec::new();
        while let [byte, rest @ ..] = bytes {
            let hex = |at: usize| Some(char::from(*bytes.get(at)?).to_digit(16)? as u8);
            let decoded = if *byte == b'%' { hex(1).zip(hex(2)) } else { None };
            seen.push(decoded.map_or(*byte, |(high, low)| high << 4 | low));
            bytes = if decoded.is_some() { &bytes[3..] } else { rest };
        }
        let seen = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        seen.split(';').next().unwrap().to_owned()
    });
    segments.filter(|s| !s.is_empty()).map(|s| format!("/{s}")).collect()
}
