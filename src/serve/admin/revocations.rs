//! `/revocations`: what became of an event here, whether something is revoked here, and what was revoked last.
//!
//! `?id=EVENT` asks about one event, `?issuer=ISSUER&sub=VALUE` (or another fact, or none) whether that is revoked.
//! What is answered is what this replica knows now; `feed` says whether that can be believed.

use super::{TEXT, json, query, rfc3339, text};
use crate::state::revocation::event::plain::MEMBERS;
use crate::state::revocation::event::{Fact, Selector};
use crate::state::revocation::{Applied, Revocations, Seen};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

pub(super) fn answer(revocations: &Revocations, query: Option<&str>) -> Response<Full<Bytes>> {
    match asked(query.unwrap_or("")) {
        Ok(Asked::Everything) => json(StatusCode::OK, &everything(revocations)),
        Ok(Asked::Event(id)) => match revocations.seen(&id) {
            Some(seen) => json(StatusCode::OK, &fate(&id, &seen)),
            None => json(StatusCode::NOT_FOUND, &json!({ "id": id, "result": "unknown" })),
        },
        Ok(Asked::Fact(selector)) => json(StatusCode::OK, &standing(revocations, &selector)),
        Err(why) => text(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n")),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Everything,
    Event(String),
    Fact(Selector),
}

fn asked(query: &str) -> Result<Asked, &'static str> {
    let known: Vec<&str> =
        ["id", "issuer", X5T].into_iter().chain(MEMBERS.iter().map(|f| f.name())).collect();
    let mut parameters = query::read(query, &known)?;
    if let Some(id) = parameters.remove("id") {
        return if parameters.is_empty() { Ok(Asked::Event(id)) } else { Err("id stands alone") };
    }
    let Some(issuer) = parameters.remove("issuer") else {
        return if parameters.is_empty() { Ok(Asked::Everything) } else { Err("the issuer is missing") };
    };
    let fact = |name: &str| {
        let name = if name == X5T { Fact::Certificate.name() } else { name };
        MEMBERS.iter().copied().find(|fact| fact.name() == name)
    };
    let facts = parameters.into_iter().filter_map(|(name, value)| Some((fact(name)?, value)));
    let facts: Vec<(Fact, String)> = facts.collect();
    if facts.len() > 1 {
        return Err("one fact at a time");
    }
    Ok(Asked::Fact(Selector { issuer, facts }))
}

fn fate(id: &str, seen: &Seen) -> Value {
    json!({
        "id": id,
        "result": seen.outcome.name(),
        "reason": seen.outcome.reason(),
        "at": rfc3339(seen.at),
        "place": seen.place,
    })
}

/// Whether it is revoked: by itself, or because all tokens of the issuer are.
fn standing(revocations: &Revocations, selector: &Selector) -> Value {
    let whole = Selector { issuer: selector.issuer.clone(), facts: Vec::new() };
    let found = [selector, &whole].into_iter().find_map(|s| Some((s, revocations.find(s)?)));
    let mut document = json!({
        "revoked": found.is_some(),
        "issuer": selector.issuer,
        "feed": revocations.status().name(),
    });
    if let Some((by, (at, until))) = found {
        document["by"] = facts(by).into();
        document["at"] = rfc3339(at).into();
        document["until"] = rfc3339(until).into();
    }
    document
}

fn everything(revocations: &Revocations) -> Value {
    let recent: Vec<Value> = revocations.recent().iter().map(listed).collect();
    json!({
        "feed": revocations.status().name(),
        "entries": revocations.entries(),
        "recent": recent,
    })
}

fn listed(applied: &Applied) -> Value {
    let event = &applied.event;
    let revokes = event.revokes.iter().map(|s| json!({ "issuer": s.issuer, "facts": facts(s) }));
    json!({
        "id": event.id,
        "revokes": revokes.collect::<Vec<Value>>(),
        "at": rfc3339(event.at),
        "until": event.until.map(rfc3339),
        "applied_at": rfc3339(applied.at),
    })
}

fn facts(selector: &Selector) -> Map<String, Value> {
    if selector.facts.is_empty() {
        return Map::from_iter([("all".to_owned(), true.into())]);
    }
    selector.facts.iter().map(|(fact, value)| (fact.name().to_owned(), value.as_str().into())).collect()
}

/// Also for `x5t#S256`, which is awkward to type in a URL.
const X5T: &str = "x5t";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood_or_refused() {
        let fact = |facts: &[(Fact, &str)]| {
            let facts = facts.iter().map(|(fact, value)| (*fact, (*value).to_owned())).collect();
            Ok(Asked::Fact(Selector { issuer: "https://as".to_owned(), facts }))
        };
        assert_eq!(asked(""), Ok(Asked::Everything));
        assert_eq!(asked("id=e1"), Ok(Asked::Event("e1".to_owned())));
        assert_eq!(asked("issuer=https://as"), fact(&[]));
        assert_eq!(asked("issuer=https://as&sub=alice"), fact(&[(Fact::Subject, "alice")]));
        assert_eq!(asked("issuer=https://as&x5t=T"), fact(&[(Fact::Certificate, "T")]));
        assert_eq!(asked("x5t%23S256=T&issuer=https://as"), fact(&[(Fact::Certificate, "T")]));
        for wrong in [
            "sub=alice",
            "id=e&sub=a",
            "issuer=i&sub=a&jti=t",
            "issuer=i&email=a",
            "issuer=i&x5t=a&x5t%23S256=b",
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
