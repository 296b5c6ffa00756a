//! What is due when. Pure.

use super::issue::Said;
use std::time::Duration;

/// What certificates are made by.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The DNS names that the API server asks by.
    pub(super) names: Vec<String>,
    pub(super) lifetime: Duration,
    pub(super) authority_lifetime: Duration,
    /// How long a new authority is known before it signs what is served.
    pub(super) spread: Duration,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// A new certificate of the same authority.
    Leaf,
    /// A new authority, to be heard of.
    Announcement,
    /// The new authority signs from now on.
    Promotion,
}

impl Terms {
    /// By what is served, its authority, whether there is a next one, and for how long all webhook configurations were seen to
    /// hold the bundle as it is.
    pub(super) fn due(
        &self,
        (leaf, authority): (&Said, &Said),
        announced: bool,
        known_for: Option<Duration>,
        now: i64,
    ) -> Due {
        let known = known_for.is_some_and(|known| known >= self.spread);
        // Once nothing can get worse, the new one has a chance.
        if announced && (known || now >= authority.until) {
            return Due::Promotion;
        }
        if !announced && now >= renewal(authority) {
            return Due::Announcement;
        }
        let renewed = now.saturating_add_unsigned(self.lifetime.as_secs()).min(authority.until);
        let gains = renewed > leaf.until.saturating_add(WORTH_IT);
        if leaf.names != self.names || (now >= renewal(leaf) && gains) {
            return Due::Leaf;
        }
        Due::Nothing
    }
}

/// After two thirds of its time.
fn renewal(of: &Said) -> i64 {
    of.until - (of.until - of.from) / 3
}

/// In seconds: a certificate that ends with its authority is not made anew for less.
const WORTH_IT: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn terms() -> Terms {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let names = vec!["a.b.svc".to_owned()];
        Terms { names, lifetime: days(90), authority_lifetime: days(730), spread: Duration::from_secs(300) }
    }

    fn from_to(from: i64, until: i64) -> Said {
        Said { from, until, names: vec!["a.b.svc".to_owned()], subject: String::new() }
    }

    #[test]
    fn each_is_renewed_well_before_its_end() {
        let (leaf, authority) = (from_to(0, 90 * DAY), from_to(0, 730 * DAY));
        let due = |now| terms().due((&leaf, &authority), false, None, now);
        assert_eq!(due(0), Due::Nothing);
        assert_eq!(due(60 * DAY - 1), Due::Nothing);
        assert_eq!(due(60 * DAY), Due::Leaf);
        let leaf = from_to(480 * DAY, 570 * DAY);
        let due = |now| terms().due((&leaf, &authority), false, None, now);
        assert_eq!(due(486 * DAY), Due::Nothing);
        assert_eq!(due(487 * DAY), Due::Announcement);
    }

    #[test]
    fn a_new_authority_signs_only_what_everybody_had_time_to_trust() {
        let (leaf, authority) = (from_to(480 * DAY, 570 * DAY), from_to(0, 730 * DAY));
        let due = |known: Option<u64>, now| {
            terms().due((&leaf, &authority), true, known.map(Duration::from_secs), now)
        };
        assert_eq!(due(None, 488 * DAY), Due::Nothing);
        assert_eq!(due(Some(299), 488 * DAY), Due::Nothing);
        assert_eq!(due(Some(300), 488 * DAY), Due::Promotion);
        assert_eq!(due(None, 545 * DAY), Due::Leaf, "the old one goes on meanwhile");
        assert_eq!(due(None, 730 * DAY), Due::Promotion, "nobody trusts the old one any more");
    }

    #[test]
    fn a_certificate_that_ends_with_its_authority_is_not_made_again_and_again() {
        let (leaf, authority) = (from_to(700 * DAY, 730 * DAY), from_to(0, 730 * DAY));
        assert_eq!(terms().due((&leaf, &authority), true, None, 725 * DAY), Due::Nothing);
    }

    #[test]
    fn another_service_name_needs_another_certificate() {
        let mut leaf = from_to(0, 90 * DAY);
        leaf.names = vec!["c.b.svc".to_owned()];
        assert_eq!(terms().due((&leaf, &from_to(0, 730 * DAY)), false, None, 0), Due::Leaf);
    }
}
