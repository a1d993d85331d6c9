//! Pictures of numbers: plain SVG, drawn on the server, each with a sentence that says the same.

use askama::Template;

use super::{EventRow, Moment, Shell};

/// A bar of a picture: places and lengths in its own units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    /// Its left side.
    pub x: usize,
    /// The upper end of the part of what was allowed.
    pub allowed_y: usize,
    /// The height of that part.
    pub allowed_height: usize,
    /// The upper end of the part of what was denied, which stands on the other one.
    pub denied_y: usize,
    /// The height of that part.
    pub denied_height: usize,
}

/// Uses by day, as bars.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bars {
    /// The bars, the oldest first.
    pub bars: Vec<Bar>,
    /// How wide the picture is, in its own units.
    pub width: usize,
    /// How high.
    pub height: usize,
    /// How wide a bar is.
    pub bar: usize,
    /// The same in a sentence.
    pub text: String,
}

/// Units from one bar to the next.
const STEP: usize = 4;

impl Bars {
    /// A picture of counts a day, the last one today: `top` is the largest count that has room, of all pictures on the page.
    #[must_use]
    pub fn new(days: &[(i64, i64)], top: i64, height: usize) -> Self {
        let top = i128::from(top.max(1));
        // What is there at all is seen.
        let length = |count: i64| match count {
            ..=0 => 0,
            count => (usize::try_from(i128::from(count) * height as i128 / top).unwrap_or(height)).clamp(1, height),
        };
        let bar = |(at, (allowed, denied)): (usize, &(i64, i64))| {
            let denied_height = length(*denied);
            let allowed_height = length(*allowed).min(height - denied_height);
            Bar {
                x: at * STEP,
                allowed_y: height - allowed_height,
                allowed_height,
                denied_y: height - allowed_height - denied_height,
                denied_height,
            }
        };
        Self {
            bars: days.iter().enumerate().map(bar).collect(),
            width: days.len() * STEP,
            height,
            bar: STEP - 1,
            text: sentence(days),
        }
    }

    /// The largest count of a day.
    #[must_use]
    pub fn top(days: &[(i64, i64)]) -> i64 {
        days.iter().map(|(allowed, denied)| allowed.saturating_add(*denied)).max().unwrap_or_default()
    }
}

fn sentence(days: &[(i64, i64)]) -> String {
    let sum = |part: fn(&(i64, i64)) -> i64| days.iter().map(part).sum::<i64>();
    let (allowed, denied) = (sum(|it| it.0), sum(|it| it.1));
    if allowed + denied == 0 {
        return format!("Not used in the last {} days", days.len());
    }
    let used = days.iter().filter(|(allowed, denied)| allowed + denied > 0).count();
    let on = if used == 1 { "1 day".to_owned() } else { format!("{used} days") };
    format!("Last {} days: {allowed} allowed, {denied} denied, on {on}", days.len())
}

/// A row of a picture of parts: a name, a number, and how long its bar is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartRow {
    /// What.
    pub label: String,
    /// Where there is more of it.
    pub href: Option<String>,
    /// How many, as people read it.
    pub count: String,
    /// How long the bar is, of 100.
    pub length: usize,
}

impl PartRow {
    /// Rows with bars on one axis.
    #[must_use]
    pub fn rows(all: Vec<(String, Option<String>, i64)>, words: impl Fn(i64) -> String) -> Vec<Self> {
        let top = all.iter().map(|(.., count)| *count).max().unwrap_or(1).max(1);
        let row = |(label, href, count): (String, Option<String>, i64)| Self {
            label,
            href,
            count: words(count),
            length: usize::try_from(count.max(0).saturating_mul(100) / top).unwrap_or(100).max(usize::from(count > 0)),
        };
        all.into_iter().map(row).collect()
    }
}

/// A token on the strip of those that end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndMark {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it ends.
    pub ends: Moment,
    /// Where on the strip, of 900.
    pub x: usize,
}

/// `…/overview`.
#[derive(Template, Clone, Debug)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    /// The frame.
    pub shell: Shell,
    /// Uses by day.
    pub uses: Bars,
    /// How often the answer was yes in these days, and how often no.
    pub sums: (String, String),
    /// The largest number of a day, for the axis.
    pub top: String,
    /// The first of these days.
    pub since: String,
    /// Why the answer was no.
    pub reasons: Vec<PartRow>,
    /// The tokens that end in the next 90 days, the first first: as many as are named.
    pub ends: Vec<EndMark>,
    /// How many end in all.
    pub ending: usize,
    /// Tokens by role.
    pub roles: Vec<PartRow>,
    /// Tokens by how long ago they were last used.
    pub ages: Vec<PartRow>,
    /// How many tokens there are.
    pub tokens: usize,
    /// The last changes; `None` for somebody who may not see them.
    pub changes: Option<Vec<EventRow>>,
    /// What is said of limits that are near.
    pub limits: Vec<String>,
}

/// What was granted of the organization's own API, and what of it was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantedView {
    /// What was used: the permission, on which day last, and by how many tokens.
    pub used: Vec<(String, String, i64)>,
    /// What was granted and never used.
    pub unused: Vec<String>,
    /// What was used and is not granted any more.
    pub gone: Vec<String>,
    /// Since which day that is known.
    pub since: String,
    /// In how many days.
    pub days: i64,
    /// The other span, and its address.
    pub other: (i64, String),
    /// Where a role is made with what was used; `None` for somebody who may not, and where nothing would be taken away.
    pub make: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_one_axis_and_what_is_there_is_seen() {
        let bars = Bars::new(&[(0, 0), (1, 0), (50, 50), (0, 1_000)], 1_000, 24);
        let heights: Vec<_> = bars.bars.iter().map(|it| (it.allowed_height, it.denied_height)).collect();
        assert_eq!(heights, [(0, 0), (1, 0), (1, 1), (0, 24)]);
        assert!(bars.bars.iter().all(|it| it.denied_y + it.denied_height == it.allowed_y));
        assert_eq!(bars.text, "Last 4 days: 51 allowed, 1050 denied, on 3 days");
        assert_eq!(Bars::new(&[(0, 0)], 0, 24).text, "Not used in the last 1 days");
        let huge = Bars::new(&[(i64::MAX, 0)], i64::MAX, 24);
        assert_eq!(huge.bars[0].allowed_height, 24);
    }

    #[test]
    fn parts_are_as_long_as_they_are_many() {
        let rows = PartRow::rows(vec![("a".into(), None, 200), ("b".into(), None, 1), ("c".into(), None, 0)], |n| {
            n.to_string()
        });
        assert_eq!(rows.iter().map(|it| it.length).collect::<Vec<_>>(), [100, 1, 0]);
    }
}
