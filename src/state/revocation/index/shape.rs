//! Which facts entries are about. Each shape costs every look-up one hash and one probe, so only those that
//! hold entries are known, and at most [`MOST`].

use super::{Bearer, Full};
use crate::state::revocation::event::{Fact, Selector};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::sync::Arc;

/// Which facts an event names, and which of them a token must have for this entry to be looked up. A fact that the
/// token does not have is a wildcard (SSF section 8.1.3.1), but never all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::revocation) struct Shape {
    pub(in crate::state::revocation) named: u16,
    pub(in crate::state::revocation) present: u16,
}

impl Shape {
    /// Every shape under which a selector is entered: one for each way in which a token may lack facts, as long as it
    /// has one that names somebody.
    pub(super) fn all(selector: &Selector) -> impl Iterator<Item = Shape> {
        let named = selector.facts.iter().fold(0, |bits, (fact, _)| bits | bit(*fact));
        let subsets = (1..=named).filter(move |present| present & !named == 0);
        // Whoever named more than a tenant, a client or a device does not mean all of it.
        let subsets = subsets.filter(move |present| named & !BROAD == 0 || present & !BROAD != 0);
        let whole = (named == 0).then_some(0);
        whole.into_iter().chain(subsets).map(move |present| Shape { named, present })
    }

    pub(super) fn is_for_ever(self) -> bool {
        Fact::ALL.iter().any(|fact| self.requires(*fact) && fact.is_for_ever())
    }

    pub(super) fn requires(self, fact: Fact) -> bool {
        self.present & bit(fact) != 0
    }

    /// Hands on the values to look up, in the order of [`Fact`]; false if a token with these facts is not meant.
    pub(super) fn values(self, bearer: &impl Bearer, mut take: impl FnMut(&str)) -> bool {
        let mut left = self.named;
        while left != 0 {
            let number = left.trailing_zeros();
            left &= left - 1;
            let Some(fact) = Fact::ALL.get(number as usize) else { return false };
            match (bearer.fact(*fact), self.requires(*fact)) {
                (Some(value), true) => take(&value),
                (None, false) => {}
                (Some(_), false) | (None, true) => return false,
            }
        }
        true
    }
}

/// A shape and the number that its entries have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) shape: Shape,
    pub(super) number: u8,
}

/// The shapes that hold entries. Readers take no lock.
///
/// A shape's count is raised before its entry is made, and lowered after it is gone: a shape that holds an entry is
/// always known, and a number belongs to another shape only when none of its entries is left.
pub(super) struct Shapes {
    known: ArcSwap<Vec<Known>>,
    counts: Mutex<[usize; MOST]>,
}

impl Shapes {
    pub(super) fn new(known: Vec<Known>) -> Shapes {
        Shapes { known: ArcSwap::from_pointee(known), counts: Mutex::new([0; MOST]) }
    }

    pub(super) fn known(&self) -> Guard<Arc<Vec<Known>>> {
        self.known.load()
    }

    /// Counts one entry of a shape, which is known from then on.
    pub(super) fn enter(&self, shape: Shape) -> Result<u8, Full> {
        let mut counts = self.counts.lock();
        let known = self.known.load();
        let number = if let Some(known) = known.iter().find(|known| known.shape == shape) {
            known.number
        } else {
            let taken = |number: &u8| known.iter().any(|known| known.number == *number);
            let number = (0..=u8::MAX).find(|number| !taken(number)).ok_or(Full)?;
            let all = known.iter().copied().chain([Known { shape, number }]);
            self.known.store(Arc::new(all.collect()));
            number
        };
        counts[usize::from(number)] += 1;
        Ok(number)
    }

    /// Counts entries whose shapes are known already.
    pub(super) fn add(&self, more: &[usize; MOST]) {
        self.counts.lock().iter_mut().zip(more).for_each(|(count, more)| *count += more);
    }

    /// Takes back what [`enter`](Shapes::enter) counted.
    pub(super) fn leave(&self, number: u8) {
        let count = &mut self.counts.lock()[usize::from(number)];
        *count = count.saturating_sub(1);
    }

    /// Counts entries that are gone.
    pub(super) fn remove(&self, gone: &[usize; MOST]) {
        let mut counts = self.counts.lock();
        counts.iter_mut().zip(gone).for_each(|(count, gone)| *count = count.saturating_sub(*gone));
    }

    /// Forgets the shapes of which no entry is left.
    pub(super) fn tidy(&self) {
        let counts = self.counts.lock();
        let known = self.known.load();
        let holds = |known: &&Known| counts[usize::from(known.number)] > 0;
        if !known.iter().all(|known| holds(&known)) {
            self.known.store(Arc::new(known.iter().filter(holds).copied().collect()));
        }
    }
}

const fn bit(fact: Fact) -> u16 {
    1 << fact as u16
}

/// What many have in common.
const BROAD: u16 = bit(Fact::Tenant) | bit(Fact::Client) | bit(Fact::Device);

/// Their number is one byte of an entry.
pub(super) const MOST: usize = 256;
