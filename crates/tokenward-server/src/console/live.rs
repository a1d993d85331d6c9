//! Pages that ask for themselves again every few seconds.
//!
//! Each such request is a use of the session, so that a page which asks by itself would keep a forgotten one in use for ever. With
//! scripts it stops when nobody has touched it for five minutes. Without them nobody can say who has touched what: it carries in its
//! address when somebody asked for that, and stops five minutes later.

use tokenward_core::Time;

use super::form::{LIVE, Pairs};

/// For how many seconds.
const LONGEST: i64 = 300;
/// By how many the clock of another node may be ahead.
const AHEAD: i64 = 60;

/// The value of `live` with which a page asks for itself again; `None` where it does not, or does not any more.
pub(super) fn refresh_value(query: &Pairs, now: Time) -> Option<String> {
    let begun = match query.get(LIVE) {
        "1" => now.seconds(),
        text => text.parse::<i64>().ok()?,
    };
    let age = now.seconds().checked_sub(begun)?;
    (-AHEAD..LONGEST).contains(&age).then(|| begun.to_string())
}

#[cfg(test)]
mod tests {
    use tokenward_core::time::MINUTE;

    use super::*;

    #[test]
    fn a_page_asks_for_itself_for_five_minutes_and_nobody_makes_it_longer() {
        let begun = Time::parse("2026-11-30T12:00:00Z").unwrap();
        let asked = |value: &str, minutes: i64| {
            let query = Pairs::from_iter([(LIVE, value.to_owned())]);
            refresh_value(&query, begun.plus(minutes * MINUTE))
        };
        let value = asked("1", 0).unwrap();
        assert_eq!(asked(&value, 4).as_ref(), Some(&value), "it does not begin anew");
        assert_eq!(asked(&value, 5), None);
        for never in ["", "0", "2", "x", "-1", "99999999999", "9223372036854775807"] {
            assert_eq!(asked(never, 0), None, "{never}");
        }
        // The clock of another node; nothing that is further ahead.
        assert_eq!(asked(&value, -1).as_ref(), Some(&value));
        assert_eq!(asked(&value, -2), None);
        // Whoever presses it again has it again.
        assert_ne!(asked("1", 9).unwrap(), value);
    }
}
