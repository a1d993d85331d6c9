//! Identifiers: UUIDv7 (RFC 9562 §5.7), so that they sort by the time of creation.

use uuid::{Builder, Uuid};

use crate::time::Time;

/// Where random bytes come from. Outside of tests it is the operating system's CSPRNG.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer` with random bytes. An implementation that cannot do so must not return.
    fn fill(&self, buffer: &mut [u8]);
}

/// A new identifier made at `now`.
///
/// The twelve bits after the milliseconds hold the rest of the microsecond (RFC 9562 §6.2, method 3): lists are sorted
/// by id and must show the order of creation, also of what one program makes within a millisecond.
pub fn new_id(now: Time, random: &dyn Random) -> Uuid {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    id_of(now, bytes)
}

/// The least identifier of a moment: whatever is less was made before.
#[must_use]
pub fn least_id(at: Time) -> Uuid {
    id_of(at, [0; 10])
}

fn id_of(at: Time, mut bytes: [u8; 10]) -> Uuid {
    let (millis, micros) = (at.0.div_euclid(1_000), at.0.rem_euclid(1_000));
    // Below 4,000: it fits, and the order stays.
    let [high, low] = u16::try_from(micros * 4).unwrap_or(0).to_be_bytes();
    (bytes[0], bytes[1]) = (high, low);
    Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;

    impl Random for Ones {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xff);
        }
    }

    #[test]
    fn what_is_less_than_the_least_id_of_a_moment_was_made_before() {
        let at = Time(1_795_562_400_000_123);
        let (before, then) = (new_id(Time(at.0 - 1), &Ones), new_id(at, &Ones));
        assert!(before < least_id(at) && least_id(at) < then, "{before} {} {then}", least_id(at));
    }

    #[test]
    fn ids_sort_by_the_microsecond_of_their_creation() {
        let at = 1_795_562_400_000_000;
        let ids: Vec<Uuid> = (at..at + 3_000).map(|micros| new_id(Time(micros), &Ones)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }
}
