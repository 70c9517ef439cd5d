//! Errors as one line of a log.

use std::error::Error;

/// An error with its causes, in one line: what was attempted, and why not.
pub fn report(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        // Some say their cause themselves.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read x")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_what_was_attempted_and_none_is_said_twice() {
        assert_eq!(report(&Outer(std::io::Error::other("disk gone"))), "read x: disk gone");
        let wrapped = std::io::Error::other(Outer(std::io::Error::other("disk gone")));
        assert_eq!(report(&wrapped), "read x: disk gone");
    }
}
