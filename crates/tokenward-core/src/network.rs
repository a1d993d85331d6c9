//! Whom an address stands for where something is counted by client.

use std::net::IpAddr;

/// What one client is given: an IPv4 address, or an IPv6 network of 64 bits (RFC 6177), whose other half it chooses as it
/// likes. An IPv4 address in the form of IPv6 is an IPv4 address.
#[must_use]
pub fn of_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_64_and_mapped_addresses_as_ipv4() {
        for (address, network) in
            [("2001:db8:0:1:ffff::2", "2001:db8:0:1::"), ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(of_client(address.parse().unwrap()).to_string(), network);
        }
    }
}
