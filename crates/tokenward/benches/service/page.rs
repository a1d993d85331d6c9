//! What was measured, as a part of `docs/performance.md` and as a picture. The words around it are written by hand.

use std::fmt::Write;

use serde::Deserialize;

use crate::result::{Row, Section, Want, grouped, root};
use crate::without::LESS;

const BEGIN: &str = "<!-- measured: written by ./scripts/bench -->";
const END: &str = "<!-- end of what was measured -->";

/// What criterion found at one number of tokens, in nanoseconds.
struct InProcess {
    tokens: u64,
    /// Always the same token; random ones of all.
    same: [f64; 3],
    random: [f64; 3],
    /// The look-up of random ones, where memory is fetched only when it is needed.
    late: Option<f64>,
    memory: Memory,
}

/// Bytes a token.
#[derive(Deserialize)]
struct Memory {
    counted: f64,
    resident: f64,
}

/// The median that criterion has found.
fn median(group: &str, name: &str) -> Option<f64> {
    let path = root().join("target/criterion").join(group).join(name).join("new/estimates.json");
    let found: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    found["median"]["point_estimate"].as_f64()
}

impl InProcess {
    fn load(tokens: u64) -> Option<Self> {
        let all = |group: String| -> Option<[f64; 3]> {
            Some([median(&group, "two hashes")?, median(&group, "look-up")?, median(&group, "decision")?])
        };
        let memory = std::fs::read_to_string(root().join(format!("target/bench/memory-{tokens}.json"))).ok()?;
        Some(Self {
            tokens,
            same: all(format!("the same of {tokens}"))?,
            random: all(format!("random of {tokens}"))?,
            late: median(&format!("random of {tokens}"), "look-up, fetched late"),
            memory: serde_json::from_str(&memory).ok()?,
        })
    }

    fn row(&self, what: &str, [hashes, _, decision]: [f64; 3], most: f64) -> Row {
        Row {
            what: format!("{what} of {}, in process", grouped(self.tokens)),
            ours: format!("{decision:.0} ns"),
            against: "its two hashes".to_owned(),
            theirs: format!("{hashes:.0} ns"),
            ratio: Some(decision / hashes),
            want: Want::AtMost(most),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let random = match self.tokens {
            1_000_000 => 3.0,
            10_000_000 => 4.0,
            _ => return Vec::new(),
        };
        let memory = Row {
            what: format!("memory a token, of {}", grouped(self.tokens)),
            ours: format!("{:.1} B", self.memory.counted),
            against: "128 B".to_owned(),
            theirs: "128 B".to_owned(),
            ratio: Some(self.memory.counted / 128.0),
            want: Want::AtMost(1.0),
        };
        let mut rows = vec![self.row("a random token", self.random, random), memory];
        if self.tokens == 1_000_000 {
            rows.insert(0, self.row("always the same token", self.same, 1.5));
        }
        if matches!(self.tokens, 1_000 | 1_000_000) {
            rows.extend(self.without());
        }
        rows
    }

    /// A decision beside the same without what makes it faster, of which one part is measured by itself.
    fn without(&self) -> Vec<Row> {
        let [_, look_up, decision] = self.random;
        let kept = |how| median("a decision is kept", how);
        let row = |what: &str, with: Option<f64>, against: &str, without: Option<f64>| {
            let theirs = decision - with? + without?;
            Some(Row {
                what: format!("a random token of {}, {what}", grouped(self.tokens)),
                ours: format!("{decision:.0} ns"),
                against: against.to_owned(),
                theirs: format!("{theirs:.0} ns"),
                ratio: Some(decision / theirs),
                want: LESS,
            })
        };
        // Of a million hardly any decision is kept: there are places for four thousand tokens.
        let found = if self.tokens == 1_000 {
            row("decisions kept as bytes", kept("as bytes"), "as values", kept("as values"))
        } else {
            row("memory fetched before it is needed", Some(look_up), "when it is needed", self.late)
        };
        found.into_iter().collect()
    }
}

pub fn write() {
    let found: Vec<InProcess> =
        [1_000, 100_000, 1_000_000, 10_000_000].into_iter().filter_map(InProcess::load).collect();
    let names = ["http", "envoy", "changes", "start", "log", "without", "large", "volume", "life", "nodes"];
    let sections: Vec<Section> = names.iter().filter_map(|name| Section::load(name)).collect();
    let missing: Vec<&str> = names.into_iter().filter(|name| Section::load(name).is_none()).collect();

    let mut text = format!("{BEGIN}\n\n{}\n\n", machine());
    text.push_str("| What | Measured | Against | Measured | Ratio | Wanted | |\n| --- | ---: | --- | ---: | ---: | ---: | --- |\n");
    let rows = found.iter().flat_map(InProcess::rows).chain(sections.iter().flat_map(|it| it.rows.clone()));
    for row in rows {
        let mark = if row.mark().is_empty() { String::new() } else { format!("**{}**", row.mark()) };
        let (Row { what, ours, against, theirs, .. }, ratio) = (&row, row.shown_ratio());
        writeln!(text, "| {what} | {ours} | {against} | {theirs} | {ratio} | {} | {mark} |", row.wanted()).unwrap();
    }
    if !missing.is_empty() {
        writeln!(text, "\nNot measured in this run: {}.", missing.join(", ")).unwrap();
    }
    text.push_str("\n![Requests a second, and growth](images/performance.svg)\n\n### In process\n\n");
    text.push_str("| Tokens | Presented | Two hashes | … and the look-up | Decision | Ratio | Decisions a second |\n");
    text.push_str("| ---: | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for it in &found {
        for (what, [hashes, lookup, decision]) in [("always the same", it.same), ("random of all", it.random)] {
            let (tokens, ratio, rate) = (grouped(it.tokens), decision / hashes, grouped((1e9 / decision) as u64));
            writeln!(
                text,
                "| {tokens} | {what} | {hashes:.0} ns | {lookup:.0} ns | {decision:.0} ns | {ratio:.2} | {rate} |"
            )
            .unwrap();
        }
    }
    text.push_str("\n### Growth\n\n| Tokens | Ready after | Bytes a token, counted | Bytes a token, resident | Decisions a second, random |\n| ---: | ---: | ---: | ---: | ---: |\n");
    for it in &found {
        let ready = sections.iter().flat_map(|it| &it.growth).find(|growth| growth.tokens == it.tokens);
        let ready = ready.map_or("–".to_owned(), |growth| format!("{:.3} s", growth.seconds_to_ready));
        let (tokens, rate) = (grouped(it.tokens), grouped((1e9 / it.random[2]) as u64));
        // Of few tokens the system's pages tell nothing.
        let large = it.tokens >= 100_000;
        let resident = if large { format!("{:.1}", it.memory.resident) } else { "–".to_owned() };
        writeln!(text, "| {tokens} | {ready} | {:.1} | {resident} | {rate} |", it.memory.counted).unwrap();
    }
    text.push_str("\n### Over HTTP and gRPC\n\n| Server | Connections | Requests a second | Processor time of the server, a request |\n| --- | ---: | ---: | ---: |\n");
    for rate in sections.iter().flat_map(|it| &it.rates) {
        let number = grouped(rate.a_second as u64);
        writeln!(text, "| {} | {} | {number} | {:.1} µs |", rate.server, rate.connections, rate.cpu).unwrap();
    }
    text.push('\n');
    for note in sections.iter().flat_map(|it| &it.notes) {
        writeln!(text, "- {note}").unwrap();
    }
    text.push_str(&format!("\n{END}"));

    let path = root().join("docs/performance.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page says where the measured part begins");
    let (_, after) = rest.split_once(END).expect("the page says where the measured part ends");
    std::fs::write(path, format!("{before}{text}{after}")).unwrap();
    std::fs::write(root().join("docs/images/performance.svg"), picture(&found, &sections)).unwrap();
    println!("Wrote docs/performance.md and docs/images/performance.svg");
}

/// The machine in one sentence.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches(['\t', ' ', ':']).to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo").lines().next().and_then(|line| {
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).map(|kib| kib / 1024.0 / 1024.0)
    });
    let kernel = read("/proc/sys/kernel/osrelease");
    let large = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let large = large.split(['[', ']']).nth(1).unwrap_or("unknown");
    format!(
        "Machine: {cores} processors ({model}), {:.0} GB, Linux {}, transparent large pages: {large}. Load and server share \
         the processors.",
        memory.unwrap_or_default(),
        kernel.split('-').next().unwrap_or_default().trim(),
    )
}

const INK: &str = "#1f2937";
const OURS: &str = "#0f766e";
const THEIRS: &str = "#9ca3af";

fn picture(found: &[InProcess], sections: &[Section]) -> String {
    let rates: Vec<_> = sections.iter().flat_map(|it| &it.rates).filter(|rate| rate.connections > 1).collect();
    let height = 70 + rates.len() * 30 + 250;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" fill=\"{INK}\" role=\"img\" aria-label=\"Requests a second, and growth\">\n\
         <rect width=\"900\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"30\" font-size=\"16\" font-weight=\"600\">Requests a second (each line ten times the one before)</text>\n"
    );
    // From 100 to 1,000,000 a second.
    let place = |rate: f64| (rate.max(100.0).log10() - 2.0) / 4.0 * 500.0;
    for power in 2..=6 {
        let x = 320.0 + place(10f64.powi(power));
        let (end, label) = (52 + rates.len() * 30, grouped(10u64.pow(power as u32)));
        writeln!(svg, "<path d=\"M{x} 50V{end}\" stroke=\"#e5e7eb\"/><text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{label}</text>", end + 14).unwrap();
    }
    for (at, rate) in rates.iter().enumerate() {
        let y = 55 + at * 30;
        let colour = if rate.server.starts_with("Tokenward") { OURS } else { THEIRS };
        let (width, server) = (place(rate.a_second), rate.server.replace('"', "&quot;"));
        writeln!(
            svg,
            "<text x=\"310\" y=\"{}\" text-anchor=\"end\">{server}</text><rect x=\"320\" y=\"{y}\" width=\"{width:.0}\" height=\"20\" rx=\"3\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{}\" font-size=\"12\">{}</text>",
            y + 15,
            328.0 + width,
            y + 15,
            grouped(rate.a_second as u64)
        )
        .unwrap();
    }
    let top = (95 + rates.len() * 30) as f64;
    let ready = |tokens: u64| {
        sections.iter().flat_map(|it| &it.growth).find(|growth| growth.tokens == tokens).map(|it| it.seconds_to_ready)
    };
    let charts: [(&str, Vec<Option<f64>>); 3] = [
        ("Nanoseconds a decision, random", found.iter().map(|it| Some(it.random[2])).collect()),
        ("Bytes a token", found.iter().map(|it| Some(it.memory.counted)).collect()),
        ("Seconds until ready", found.iter().map(|it| ready(it.tokens)).collect()),
    ];
    for (at, (title, values)) in charts.iter().enumerate() {
        let left = 20.0 + at as f64 * 295.0;
        let most = values.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
        writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-size=\"14\" font-weight=\"600\">{title}</text>", top + 12.0)
            .unwrap();
        writeln!(svg, "<path d=\"M{left} {}h260\" stroke=\"{THEIRS}\"/>", top + 160.0).unwrap();
        for (step, (it, value)) in found.iter().zip(values).enumerate() {
            let x = left + 33.0 + step as f64 * 65.0;
            writeln!(
                svg,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{}</text>",
                top + 176.0,
                grouped(it.tokens)
            )
            .unwrap();
            let Some(value) = value else { continue };
            let size = value / most * 105.0;
            let label = if most < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
            writeln!(
                svg,
                "<rect x=\"{}\" y=\"{:.1}\" width=\"44\" height=\"{size:.1}\" rx=\"3\" fill=\"{OURS}\"/><text x=\"{x}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"12\">{label}</text>",
                x - 22.0,
                top + 160.0 - size,
                top + 154.0 - size,
            )
            .unwrap();
        }
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">tokens</text>",
            left + 130.0,
            top + 194.0
        )
        .unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}
