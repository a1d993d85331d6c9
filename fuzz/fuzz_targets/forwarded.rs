//! Any `X-Forwarded-For`: what a client wrote into it never changes what a trusted proxy added behind it.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tokenward_server::fuzzed::address;

fuzz_target!(|data: &[u8]| {
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let client = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(8) {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append("x-forwarded-for", value);
    }
    assert!(address(&headers, Some(proxy), &trusted).is_some());
    assert_eq!(address(&headers, Some(client), &trusted), Some(client), "whom we do not trust is not believed");

    // The proxy appends to the last line, or adds one of its own.
    let mut appended = data.split(|byte| *byte == b'\n').take(8).last().unwrap_or_default().to_vec();
    appended.extend_from_slice(format!(", {client}").as_bytes());
    let mut one = HeaderMap::new();
    one.insert("x-forwarded-for", HeaderValue::from_bytes(&appended).expect("it was a header's value"));
    assert_eq!(address(&one, Some(proxy), &trusted), Some(client));
    headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.7"));
    assert_eq!(address(&headers, Some(proxy), &trusted), Some(client));
});
