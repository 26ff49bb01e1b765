//! How often callers may call: sign-ins by address, everything else by user and in all.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use metrics::counter;

use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::telemetry;

type Middleware<C> = NoOpMiddleware<<C as Clock>::Instant>;
type Keyed<K, C> = RateLimiter<K, DashMapStateStore<K>, C, Middleware<C>>;

/// Calls a minute.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub login_per_minute: NonZeroU32,
    pub user_per_minute: NonZeroU32,
    pub total_per_minute: NonZeroU32,
}

/// Keys after which a table is cleared of those that are idle. Between two clearings it can hold no more
/// keys than calls came in, so the check is cheap and memory stays bounded by the rate of calls.
const KEYS_BEFORE_CLEARING: usize = 10_000;

/// Counts calls. A caller may use a minute's worth at once, and gets one back every part of a minute.
#[derive(Debug)]
pub struct RateLimits<C: Clock = DefaultClock> {
    clock: C,
    login: Keyed<IpAddr, C>,
    user: Keyed<UserId, C>,
    total: RateLimiter<NotKeyed, InMemoryState, C, Middleware<C>>,
}

impl RateLimits {
    /// Counts by the machine's monotonic clock.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self::with_clock(rates, DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    fn with_clock(rates: Rates, clock: C) -> Self {
        let login = RateLimiter::dashmap_with_clock(Quota::per_minute(rates.login_per_minute), clock.clone());
        let user = RateLimiter::dashmap_with_clock(Quota::per_minute(rates.user_per_minute), clock.clone());
        let total = RateLimiter::direct_with_clock(Quota::per_minute(rates.total_per_minute), clock.clone());
        Self { clock, login, user, total }
    }

    /// One sign-in from `address`.
    pub(super) fn login(&self, address: IpAddr) -> Result<()> {
        clear_when_large(&self.login);
        self.outcome("login", self.login.check_key(&network(address)))
    }

    /// One call by `user`.
    pub(super) fn user(&self, user: &UserId) -> Result<()> {
        clear_when_large(&self.user);
        self.outcome("user", self.user.check_key(user))
    }

    /// One call by anybody.
    pub(super) fn total(&self) -> Result<()> {
        self.outcome("total", self.total.check())
    }

    fn outcome(&self, limit: &'static str, checked: Result<(), NotUntil<C::Instant>>) -> Result<()> {
        checked.map_err(|not_until| {
            counter!(telemetry::RATE_LIMITED, "limit" => limit).increment(1);
            let wait = not_until.wait_time_from(self.clock.now());
            Error::RateLimited { retry_after_s: whole_seconds(wait) }
        })
    }
}

fn clear_when_large<K: Clone + Eq + std::hash::Hash, C: Clock>(limiter: &Keyed<K, C>) {
    if limiter.len() > KEYS_BEFORE_CLEARING {
        limiter.retain_recent();
    }
}

/// Rounded up, because a caller who comes back earlier is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// One household or server has a whole IPv6 network of 64 bits to itself, so that network is what counts.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(clock: &FakeRelativeClock) -> RateLimits<FakeRelativeClock> {
        let rate = |n| NonZeroU32::new(n).unwrap();
        let rates =
            Rates { login_per_minute: rate(5), user_per_minute: rate(100), total_per_minute: rate(1000) };
        RateLimits::with_clock(rates, clock.clone())
    }

    #[test]
    fn the_sixth_sign_in_of_a_minute_is_refused_and_says_when_to_come_back() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let address = IpAddr::from([203, 0, 113, 9]);
        for _ in 0..5 {
            limits.login(address).unwrap();
        }
        let refused = limits.login(address).unwrap_err();
        assert!(matches!(refused, Error::RateLimited { retry_after_s: 12 }), "{refused:?}");
        limits.login(IpAddr::from([203, 0, 113, 10])).unwrap();

        clock.advance(Duration::from_secs(11));
        assert!(limits.login(address).is_err());
        clock.advance(Duration::from_secs(1));
        limits.login(address).unwrap();
    }

    #[test]
    fn users_do_not_share_but_all_share_the_total() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let (ana, ben) = (UserId::random(), UserId::random());
        assert_eq!((0..150).filter(|_| limits.user(&ana).is_ok()).count(), 100);
        assert!(limits.user(&ben).is_ok());
        assert_eq!((0..1500).filter(|_| limits.total().is_ok()).count(), 1000);
    }

    #[test]
    fn an_ipv6_network_is_one_caller() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(parse("2001:db8::1")), network(parse("2001:db8::ffff:1")));
        assert_ne!(network(parse("2001:db8::1")), network(parse("2001:db8:0:1::1")));
        assert_eq!(network(parse("::ffff:10.0.0.1")), parse("10.0.0.1"));
    }
}
