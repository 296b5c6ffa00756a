//! A panic in the midst of a request that asks for one, so that a test can show with the program itself what becomes of it.
//!
//! Only with the feature `panic-drill`, which no optimised build can have: nothing that ships knows of it.

use http::HeaderMap;

/// Panics if this is the place that the request names in `clinch-drill`.
pub(crate) fn panic_at(place: &str, headers: &HeaderMap) {
    panic_if(is_asked_for(place, headers));
}

/// Whether this is the place.
pub(crate) fn is_asked_for(place: &str, headers: &HeaderMap) -> bool {
    headers.get("clinch-drill").is_some_and(|named| named == place)
}

/// For a place where the request's head is gone.
pub(crate) fn panic_if(asked: bool) {
    if asked {
        panic!("a drill");
    }
}

#[cfg(not(debug_assertions))]
compile_error!("the feature panic-drill is for tests: a release never has it");
