//! The index against a list that is searched from end to end.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Revoke {
        facts: Vec<(Fact, u8)>,
        at: i64,
        lasts: i64,
    },
    Look {
        facts: Vec<(Fact, u8)>,
        at: i64,
    },
    Pass(i64),
    /// The wall clock alone.
    Jump(i64),
    Grow(u32),
}

/// What was revoked and is not over.
#[derive(Default)]
struct Model {
    events: Vec<Revoked>,
    /// Everything that ever was: what is over may go late, but what never was is never revoked.
    ever: Vec<Revoked>,
    running: i64,
    wall: i64,
}

impl Model {
    fn forget(&mut self) {
        let (wall, running) = (self.wall - i64::from(SLACK), self.running - i64::from(SLACK));
        self.events.retain(|event| wall <= event.until || running <= event.run_until);
    }
}

#[derive(Clone)]
struct Revoked {
    facts: Vec<(Fact, u8)>,
    at: i64,
    until: i64,
    run_until: i64,
}

impl Revoked {
    fn hits(&self, token: &[(Fact, u8)], issued: i64) -> bool {
        let of = |fact| token.iter().find(|(name, _)| *name == fact).map(|(_, value)| *value);
        let fits = self.facts.iter().all(|(fact, value)| of(*fact).is_none_or(|has| has == *value));
        let known = self.facts.iter().filter(|(fact, _)| of(*fact).is_some());
        let for_ever = known.clone().any(|(fact, _)| fact.is_for_ever());
        fits && (self.facts.is_empty() || known.count() > 0) && (for_ever || issued <= self.at)
    }
}

fn facts() -> impl Strategy<Value = Vec<(Fact, u8)>> {
    let each =
        [Some(TokenId), Some(Subject), Some(Session)].map(|fact| proptest::option::of((Just(fact), 0u8..4)));
    each.prop_map(|facts| facts.into_iter().flatten().map(|(fact, value)| (fact.unwrap(), value)).collect())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (facts(), -50i64..50, 0i64..500).prop_map(|(facts, at, lasts)| Step::Revoke { facts, at, lasts }),
        10 => (facts(), -60i64..60).prop_map(|(facts, at)| Step::Look { facts, at }),
        2 => (1i64..200).prop_map(Step::Pass),
        1 => (-300i64..10_000).prop_map(Step::Jump),
        1 => (1u32..1500).prop_map(Step::Grow),
    ]
}

fn texts(facts: &[(Fact, u8)]) -> Vec<(Fact, String)> {
    facts.iter().map(|(fact, value)| (*fact, value.to_string())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_is_forgotten_early_and_nothing_else_is_revoked(steps in vec(step(), 1..120)) {
        let (mut index, mut model, mut grown) = (Index::new(usize::MAX), Model::default(), 0u32);
        for step in steps {
            match step {
                Step::Revoke { facts, at, lasts } => {
                    let until = model.wall + lasts;
                    let selector = Selector { issuer: ISSUER.to_owned(), facts: texts(&facts) };
                    index.revoke(&selector, after(at), after(until), after(model.wall)).unwrap();
                    let revoked = Revoked { facts, at, until, run_until: model.running + lasts };
                    model.events.push(revoked.clone());
                    model.ever.push(revoked);
                }
                Step::Look { facts, at } => {
                    let values = texts(&facts);
                    let values: Vec<_> = values.iter().map(|(fact, value)| (*fact, value.as_str())).collect();
                    let found = revoked(&index, &values, after(at));
                    if model.events.iter().any(|event| event.hits(&facts, at)) {
                        prop_assert!(found, "{facts:?} was forgotten");
                    }
                    if !model.ever.iter().any(|event| event.hits(&facts, at)) {
                        prop_assert!(!found, "{facts:?} was never revoked");
                    }
                }
                Step::Pass(seconds) => {
                    (model.wall, model.running) = (model.wall + seconds, model.running + seconds);
                    pass(&mut index, seconds.unsigned_abs());
                    index.sweep(after(model.wall));
                    model.forget();
                }
                Step::Jump(seconds) => {
                    model.wall += seconds;
                    index.sweep(after(model.wall));
                    model.forget();
                }
                Step::Grow(more) => {
                    for n in grown..grown + more {
                        let facts = [(TokenId, format!("filler {n}"))].to_vec();
                        let selector = Selector { issuer: ISSUER.to_owned(), facts };
                        let now = after(model.wall);
                        index.revoke(&selector, now, after(model.wall + 100), now).unwrap();
                    }
                    grown += more;
                }
            }
        }
        // Long after everything, nothing is left.
        pass(&mut index, 1_000_000);
        index.sweep(after(model.wall + 1_000_000));
        prop_assert_eq!((index.len(), index.shapes.known().len(), index.bytes()), (0, 0, 0));
    }
}
