//! Networks: whom an address stands for, and from where a token is accepted.
//!
//! IPv4 and IPv6 are two worlds: `::/0` is every IPv6 address and no IPv4 one. An IPv4 address in the form of IPv6
//! (`::ffff:203.0.113.7`, RFC 4291 §2.5.5.2) is the IPv4 address, in a network and of a client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// What one client is given: an IPv4 address, or an IPv6 network of 64 bits (RFC 6177), whose other half it chooses as it
/// likes. An IPv4 address in the form of IPv6 is an IPv4 address.
#[must_use]
pub fn of_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// A network, or a single address. It has one way to be written, which [`fmt::Display`] gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    first: IpAddr,
    /// Bits that all its addresses have in common: 0 to 32, or to 128.
    length: u8,
}

/// A network with what somebody noted about it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NotedNetwork {
    /// The network.
    pub network: Network,
    /// What it is, for people.
    pub note: Option<String>,
}

impl NotedNetwork {
    /// The network and the note of what a person typed in one line: `203.0.113.0/24 office`.
    #[must_use]
    pub fn split(line: &str) -> (&str, Option<&str>) {
        match line.trim().split_once(char::is_whitespace) {
            Some((network, note)) => (network, Some(note.trim())),
            None => (line.trim(), None),
        }
    }
}

/// As [`split`](NotedNetwork::split) takes it apart.
impl fmt::Display for NotedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.note {
            Some(note) => write!(f, "{} {note}", self.network),
            None => self.network.fmt(f),
        }
    }
}

impl Network {
    /// Reads `203.0.113.0/24`, `2001:db8::/32`, or a single address. The error says what is wrong and what may be meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let unreadable = || {
            let shown: String = text.chars().take(64).collect();
            format!("`{shown}` is no network; write one such as 203.0.113.0/24, 2001:db8::/32 or 203.0.113.7")
        };
        let written: IpAddr = address.parse().map_err(|_| unreadable())?;
        let widest = bits(written);
        let length = match length {
            None => widest,
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= widest).ok_or_else(|| {
                    format!("`{text}` is no network: behind the `/` stands a number from 0 to {widest}")
                })?
            }
            Some(_) => return Err(unreadable()),
        };
        let network = Self::of(written, length);
        if network.first != written.to_canonical() {
            return Err(format!(
                "`{text}` is no network: it lies in {network}. Write that, or the address alone: {address}"
            ));
        }
        Ok(network)
    }

    /// The network of this many bits in which an address lies.
    fn of(address: IpAddr, length: u8) -> Self {
        let first = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        match (first, first.to_canonical()) {
            // All of it is IPv4, and not only its first address.
            (IpAddr::V6(_), IpAddr::V4(first)) if length >= 96 => {
                Self { first: IpAddr::V4(first), length: length - 96 }
            }
            _ => Self { first, length },
        }
    }

    /// Its first and last address, as numbers of its own world.
    fn range(&self) -> RangeInclusive<u128> {
        let first = number(self.first);
        let behind = u32::from(bits(self.first) - self.length);
        first..=first | !u128::MAX.checked_shl(behind).unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        if self.length < bits(self.first) {
            write!(f, "/{}", self.length)?;
        }
        Ok(())
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Networks to look addresses up in: a binary search in each of the two worlds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Networks {
    v4: Box<[(u128, u128)]>,
    v6: Box<[(u128, u128)]>,
}

impl Networks {
    /// All addresses of these networks.
    #[must_use]
    pub fn of<'a>(networks: impl IntoIterator<Item = &'a Network>) -> Self {
        let (v4, v6): (Vec<&Network>, Vec<&Network>) = networks.into_iter().partition(|it| it.first.is_ipv4());
        Self { v4: joined(&v4), v6: joined(&v6) }
    }

    /// Does the address lie in one of them?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (ranges, number) = (if address.is_ipv4() { &self.v4 } else { &self.v6 }, number(address));
        let at = ranges.partition_point(|(first, _)| *first <= number);
        at > 0 && number <= ranges[at - 1].1
    }

    /// Does all of a network lie in them?
    #[must_use]
    pub fn cover(&self, network: &Network) -> bool {
        let ranges = if network.first.is_ipv4() { &self.v4 } else { &self.v6 };
        let (first, last) = network.range().into_inner();
        let at = ranges.partition_point(|(begin, _)| *begin <= first);
        // Neighbours are joined, so that one range holds all of it or none does.
        at > 0 && last <= ranges[at - 1].1
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + (self.v4.len() + self.v6.len()) * size_of::<(u128, u128)>()
    }
}

/// Ranges in order, those that overlap or touch as one.
fn joined(networks: &[&Network]) -> Box<[(u128, u128)]> {
    let mut ranges: Vec<(u128, u128)> = networks.iter().map(|it| it.range().into_inner()).collect();
    ranges.sort_unstable();
    let mut all: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match all.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => all.push((first, last)),
        }
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn networks(texts: &[&str]) -> Networks {
        Networks::of(&texts.iter().map(|text| network(text)).collect::<Vec<_>>())
    }

    #[test]
    fn ipv6_counts_by_64_and_mapped_addresses_as_ipv4() {
        for (address, network) in
            [("2001:db8:0:1:ffff::2", "2001:db8:0:1::"), ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(of_client(address.parse().unwrap()).to_string(), network);
        }
    }

    #[test]
    fn a_network_has_one_way_to_be_written() {
        for (text, written) in [
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7", "203.0.113.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("::1", "::1"),
            ("::/0", "::/0"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(network(text).to_string(), written, "{text}");
            assert_eq!(network(written), network(text), "{text}");
        }
    }

    #[test]
    fn a_line_is_a_network_and_what_was_noted() {
        for (line, network, note) in [
            ("10.0.0.0/8", "10.0.0.0/8", None),
            ("  10.0.0.0/8 \t the  office ", "10.0.0.0/8", Some("the  office")),
            ("office", "office", None),
            ("", "", None),
        ] {
            assert_eq!(NotedNetwork::split(line), (network, note), "{line:?}");
        }
        for line in ["10.0.0.0/8", "10.0.0.0/8 the  office"] {
            let (text, note) = NotedNetwork::split(line);
            let noted = NotedNetwork { network: network(text), note: note.map(str::to_owned) };
            assert_eq!(noted.to_string(), line);
        }
    }

    #[test]
    fn what_is_no_network_is_told_with_what_may_be_meant() {
        for (text, told) in [
            ("10.0.0.1/8", "it lies in 10.0.0.0/8. Write that, or the address alone: 10.0.0.1"),
            ("2001:db8::1/32", "it lies in 2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "it lies in 10.0.0.0/8"),
            ("10.0.0.0/33", "a number from 0 to 32"),
            ("::/129", "a number from 0 to 128"),
            ("10.0.0.0/+8", "is no network; write one such as"),
            ("10.0.0.0/", "a number from 0 to 32"),
            ("10.0.0.0/255.0.0.0", "is no network; write one such as"),
            ("10.0.0", "is no network; write one such as"),
            ("010.0.0.0/8", "is no network; write one such as"),
            ("fe80::1%eth0", "is no network; write one such as"),
            (" 10.0.0.0/8", "is no network; write one such as"),
            ("office", "is no network; write one such as"),
            ("", "is no network; write one such as"),
        ] {
            let problem = Network::parse(text).unwrap_err();
            assert!(problem.contains(told), "{text}: {problem}");
        }
        assert!(Network::parse(&"1".repeat(100_000)).unwrap_err().len() < 200);
    }

    #[test]
    fn addresses_are_found_in_their_own_world_alone() {
        let some = networks(&["203.0.113.0/24", "10.0.0.0/9", "10.128.0.0/9", "192.0.2.7", "2001:db8::/32"]);
        let contains = |text: &str| some.contains(text.parse().unwrap());
        for inside in [
            "203.0.113.0",
            "203.0.113.255",
            "10.127.255.255",
            "10.128.0.0",
            "192.0.2.7",
            "2001:db8:ffff::1",
            "::ffff:203.0.113.9",
        ] {
            assert!(contains(inside), "{inside}");
        }
        for outside in [
            "203.0.112.255",
            "203.0.114.0",
            "9.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "192.0.2.8",
            "2001:db9::",
            "::203.0.113.9",
            "::ffff:203.0.114.9",
        ] {
            assert!(!contains(outside), "{outside}");
        }
        assert!(!networks(&["::/0"]).contains(Ipv4Addr::LOCALHOST.into()), "every IPv6 address is no IPv4 one");
        assert!(!networks(&[]).contains(Ipv4Addr::LOCALHOST.into()));
        assert!(networks(&["0.0.0.0/0", "::/0"]).contains(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn what_lies_in_several_that_touch_lies_in_them() {
        let some = networks(&["10.0.0.0/9", "10.128.0.0/9", "192.0.2.0/25", "::/1"]);
        for inside in ["10.0.0.0/8", "10.7.0.0/16", "192.0.2.3", "::/2"] {
            assert!(some.cover(&network(inside)), "{inside}");
        }
        for outside in ["10.0.0.0/7", "192.0.2.0/24", "0.0.0.0/0", "::/0", "8000::/1"] {
            assert!(!some.cover(&network(outside)), "{outside}");
        }
    }

    proptest! {
        #[test]
        fn a_search_finds_what_a_walk_finds(
            some in prop::collection::vec((any::<u32>(), 0u8..=32), 0..40),
            asked in prop::collection::vec(any::<u32>(), 1..40),
        ) {
            let some: Vec<Network> =
                some.iter().map(|(address, length)| Network::of(Ipv4Addr::from_bits(*address).into(), *length)).collect();
            let all = Networks::of(&some);
            // Edges too, where mistakes are.
            let edges = some.iter().flat_map(|it| {
                let (first, last) = it.range().into_inner();
                [first as u32, last as u32, (first as u32).wrapping_sub(1), (last as u32).wrapping_add(1)]
            });
            for number in asked.iter().copied().chain(edges) {
                let address = IpAddr::V4(Ipv4Addr::from_bits(number));
                let walked = some.iter().any(|it| it.range().contains(&u128::from(number)));
                prop_assert_eq!(all.contains(address), walked, "{}", address);
                prop_assert_eq!(all.cover(&Network::of(address, 32)), walked);
            }
            for network in &some {
                prop_assert!(all.cover(network));
                prop_assert_eq!(Network::parse(&network.to_string()), Ok(*network));
            }
        }
    }
}
