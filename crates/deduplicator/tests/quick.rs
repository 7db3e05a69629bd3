use std::time::Duration;
use steadfast_core::Instant;
use steadfast_deduplicator::{Config, Fingerprint, Sighting};
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
#[test]
fn quick() {
    for seed in 1..400_u64 {
        let mut r = seed.wrapping_mul(0x9E3779B97F4A7C15);
        let cap = [1, 2, 3, 7, 8, 15, 16, 50, 200][(next(&mut r) % 9) as usize];
        let ttl = [None, Some(1), Some(5), Some(50), Some(1000)][(next(&mut r) % 5) as usize];
        let renew = next(&mut r) % 2 == 0;
        let kind = next(&mut r) % 4;
        let mut c =
            Config::new(cap).renew(renew).dense(next(&mut r) % 2 == 0).wide(next(&mut r) % 2 == 0);
        if let Some(t) = ttl {
            c = c.ttl(Duration::from_nanos(t));
        }
        let mut s = c.state().unwrap();
        let mut o: Vec<(u64, u64, u64)> = vec![]; // id, time, first
        let (mut now, mut latest) = (0u64, 0);
        let range = cap as u64 * 2 + 2;
        for step in 0..20_000 {
            let id = next(&mut r) % range;
            let fp = |id: u64| match kind {
                0 => Fingerprint { low: id, high: 0 },
                1 => Fingerprint { low: id << 32, high: id },
                2 => Fingerprint { low: 0xFFFF_FFFF_0000_0000 | id, high: 0 },
                _ => Fingerprint { low: id.wrapping_mul(0x9E3779B97F4A7C15), high: 0 },
            };
            match next(&mut r) % 16 {
                0 => now += next(&mut r) % 30,
                1 => now = now.saturating_sub(3),
                2 | 3 | 4 => now += 1,
                _ => {}
            }
            let n = now.max(latest);
            let t = Instant::from_nanos(now);
            match next(&mut r) % 20 {
                0..=3 => {
                    latest = n;
                    if let Some(t) = ttl {
                        o.retain(|e| n - e.1 < t);
                    }
                    let was = o.iter().position(|e| e.0 == id);
                    assert_eq!(s.forget(fp(id), t), was.is_some(), "seed {seed} step {step}");
                    if let Some(w) = was {
                        o.remove(w);
                    }
                }
                4 => {
                    let alive: Vec<_> =
                        o.iter().filter(|e| ttl.is_none_or(|t| n - e.1 < t)).collect();
                    assert_eq!(s.len(t), alive.len(), "seed {seed} step {step}");
                    assert_eq!(
                        s.first_seen(fp(id), t),
                        alive.iter().find(|e| e.0 == id).map(|e| Instant::from_nanos(e.2))
                    );
                }
                5 if next(&mut r) % 500 == 0 => {
                    s.clear();
                    o.clear();
                }
                _ => {
                    latest = n;
                    if let Some(t) = ttl {
                        o.retain(|e| n - e.1 < t);
                    }
                    let want = match o.iter().position(|e| e.0 == id) {
                        Some(w) => {
                            let f = o[w].2;
                            if renew {
                                o.remove(w);
                                o.push((id, n, f));
                            }
                            Sighting::Duplicate { first_seen: Instant::from_nanos(f) }
                        }
                        None => {
                            if o.len() == cap {
                                o.remove(0);
                            }
                            o.push((id, n, n));
                            Sighting::Fresh
                        }
                    };
                    assert_eq!(
                        s.insert(fp(id), t),
                        want,
                        "seed {seed} step {step} cap {cap} renew {renew}"
                    );
                }
            }
        }
    }
}
