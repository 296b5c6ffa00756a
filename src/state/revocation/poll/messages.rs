//! What is said in a poll (RFC 8936 section 2): which tokens we have, which we can't use, and which there are.

use crate::pop::jose::Json;
use crate::state::revocation::SetError;
use serde_json::json;
use std::collections::BTreeMap;

/// What the transmitter is told about the tokens that it delivered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    /// `ack`: they are on the feed.
    pub(super) taken: Vec<String>,
    /// `setErrs`: they never will be, and why.
    pub(super) refused: BTreeMap<String, SetError>,
}

/// The tokens of one answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// `sets`: by the `jti` that the transmitter says they have.
    pub(super) sets: Vec<(String, String)>,
    /// `moreAvailable`
    pub(super) more: bool,
}

impl Verdicts {
    /// The request that brings them, and asks for more (POLL-01, POLL-03).
    pub(super) fn request(&self, most: usize, immediately: bool) -> String {
        let mut request = json!({ "maxEvents": most, "returnImmediately": immediately });
        if !self.taken.is_empty() {
            request["ack"] = json!(self.taken);
        }
        let error = |(jti, error): (&String, &SetError)| {
            (jti.clone(), json!({ "err": error.code(), "description": error.description() }))
        };
        let errors: serde_json::Map<_, _> = self.refused.iter().map(error).collect();
        if !errors.is_empty() {
            request["setErrs"] = errors.into();
        }
        request.to_string()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.refused.is_empty()
    }

    /// Whether all of these were in the last answer too, although their transmitter was told about them.
    pub(super) fn know_all(&self, delivery: &Delivery) -> bool {
        let known = |jti: &String| self.taken.contains(jti) || self.refused.contains_key(jti);
        !delivery.sets.is_empty() && delivery.sets.iter().all(|(jti, _)| known(jti))
    }
}

impl Delivery {
    /// Reads an answer; `None` if it is none. Of more tokens than were asked for the rest is left for the next poll
    /// (POLL-02; RV-038).
    pub(super) fn parse(body: &[u8], most: usize) -> Option<Delivery> {
        let answer = Json::parse_object(body)?;
        let more = match answer.get("moreAvailable") {
            None => false,
            Some(Json::Bool(more)) => *more,
            Some(_) => return None,
        };
        let all = answer.get("sets")?.as_object()?;
        let set = |(jti, set): (&str, &Json<'_>)| Some((jti.to_owned(), set.as_str()?.to_owned()));
        let mut sets: Vec<_> = all.iter().map(set).collect::<Option<_>>()?;
        let more = more || sets.len() > most;
        sets.truncate(most);
        Some(Delivery { sets, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parse(answer: &Value) -> Option<Delivery> {
        Delivery::parse(answer.to_string().as_bytes(), 2)
    }

    /// POLL-01, POLL-03
    #[test]
    fn what_is_said_has_the_names_of_the_rfc() {
        let said =
            |verdicts: &Verdicts| -> Value { serde_json::from_str(&verdicts.request(7, false)).unwrap() };
        let nothing = Verdicts::default();
        assert!(nothing.is_empty());
        assert_eq!(said(&nothing), json!({ "maxEvents": 7, "returnImmediately": false }));
        let refused = BTreeMap::from([("b".to_owned(), SetError::InvalidKey)]);
        let verdicts = Verdicts { taken: vec!["a".to_owned()], refused };
        let said = said(&verdicts);
        assert_eq!((&said["ack"], &said["setErrs"]["b"]["err"]), (&json!(["a"]), &json!("invalid_key")));
        assert!(said["setErrs"]["b"]["description"].is_string());
    }

    /// POLL-02
    #[test]
    fn an_answer_is_what_the_rfc_says_or_none() {
        let some = parse(&json!({ "sets": { "a": "x.y.z" }, "moreAvailable": true, "new": 1 }));
        assert_eq!(some, Some(Delivery { sets: vec![("a".to_owned(), "x.y.z".to_owned())], more: true }));
        assert_eq!(parse(&json!({ "sets": {} })), Some(Delivery { sets: vec![], more: false }));
        for bad in [
            json!({}),
            json!([]),
            json!({ "sets": [] }),
            json!({ "sets": { "a": {} } }),
            json!({ "sets": { "a": null } }),
            json!({ "sets": {}, "moreAvailable": "no" }),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        assert_eq!(Delivery::parse(br#"{"sets":{"a":"x","a":"y"}}"#, 2), None, "said twice");
    }

    /// RV-038
    #[test]
    fn of_too_many_the_rest_waits() {
        let delivery = parse(&json!({ "sets": { "a": "1", "b": "2", "c": "3" } })).unwrap();
        assert_eq!((delivery.sets.len(), delivery.more), (2, true));
        let verdicts = Verdicts { taken: vec!["a".to_owned(), "b".to_owned()], ..Verdicts::default() };
        assert!(verdicts.know_all(&delivery));
        assert!(!verdicts.know_all(&Delivery { sets: vec![], more: true }));
        assert!(!Verdicts::default().know_all(&delivery));
    }
}
