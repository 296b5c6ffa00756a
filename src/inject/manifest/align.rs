//! Which item of a list has become which.

use serde_json::Value;

/// The longest common subsequence of two lists: pairs of places, both rising. Items are the same that are equal,
/// mappings of one name, or objects of one kind and name.
pub(super) fn pairs(old: &[&Value], new: &[Value]) -> Vec<(usize, usize)> {
    let same = |o: usize, n: usize| match (old.get(o), new.get(n)) {
        (Some(old), Some(new)) => is_same(old, new),
        _ => false,
    };
    let width = new.len() + 1;
    // best[o * width + n]: how many pairs the rest from o and n on can have.
    let mut best = vec![0_u32; (old.len() + 1) * width];
    let at = |best: &[u32], o: usize, n: usize| best.get(o * width + n).copied().unwrap_or(0);
    for o in (0..old.len()).rev() {
        for n in (0..new.len()).rev() {
            let skipped = at(&best, o + 1, n).max(at(&best, o, n + 1));
            let taken = if same(o, n) { at(&best, o + 1, n + 1) + 1 } else { 0 };
            if let Some(cell) = best.get_mut(o * width + n) {
                *cell = skipped.max(taken);
            }
        }
    }
    let (mut o, mut n, mut pairs) = (0, 0, Vec::new());
    while o < old.len() && n < new.len() {
        if same(o, n) && at(&best, o, n) == at(&best, o + 1, n + 1) + 1 {
            pairs.push((o, n));
            (o, n) = (o + 1, n + 1);
        } else if at(&best, o + 1, n) >= at(&best, o, n + 1) {
            o += 1;
        } else {
            n += 1;
        }
    }
    pairs
}

fn is_same(old: &Value, new: &Value) -> bool {
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let both = |pointer: &str| text(old, pointer) == text(new, pointer);
    let has = |pointer: &str| text(old, pointer).is_some();
    let is_object = has("/kind") && both("/kind") && both("/metadata/name") && both("/metadata/namespace");
    old == new || (has("/name") && both("/name")) || is_object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_keep_their_order_and_their_names() {
        let old = [json!({"name": "a", "v": 1}), json!("x"), json!({"name": "b"})];
        let new = [json!({"name": "new"}), json!({"name": "a", "v": 2}), json!({"name": "b"}), json!("x")];
        let old: Vec<&Value> = old.iter().collect();
        assert_eq!(pairs(&old, &new), [(0, 1), (2, 2)]);
        assert_eq!(pairs(&[], &new), []);
    }
}
