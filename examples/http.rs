//! A limit for each client of an HTTP server, and a client that comes back when it is told to.
//!
//! `cargo run --example http`

use std::error::Error;
use std::thread;
use std::time::Duration;

use steadfast::backoff::{self, Policy};
use steadfast::token_bucket::{Config, Keyed, Rate};
use steadfast::{Clock, SystemClock};
use tiny_http::{Header, Request, Response, Server};

type Failure = Box<dyn Error + Send + Sync>;

/// Answers with the time, or with 429 and when to come back.
fn answer(request: Request, limits: &Keyed<String>) -> Result<(), Failure> {
    let key = request.headers().iter().find(|header| header.field.equiv("X-Api-Key"));
    let client = key.map_or("anonymous", |header| header.value.as_str()).to_owned();
    let response = match limits.try_acquire(&client, 1) {
        Ok(()) => Response::from_string(format!("{:?}", SystemClock.now())),
        Err(refused) => {
            let mut response = Response::from_string(refused.to_string()).with_status_code(429);
            // Whole seconds, rounded up: a wait of 0.2 s is "1" and never "0".
            if let Some(seconds) = refused.retry_after_secs_ceil() {
                let header = Header::from_bytes("Retry-After", seconds.to_string());
                response.add_header(header.map_err(|()| "not a header")?);
            }
            response
        }
    };
    Ok(request.respond(response)?)
}

/// What a 429 said, in seconds.
#[derive(Debug)]
struct TooMany(Option<u64>);

fn ask(client: &ureq::Agent, url: &str, key: &str) -> Result<String, TooMany> {
    let answer = client.get(url).header("X-Api-Key", key).call().map_err(|_| TooMany(None))?;
    if answer.status() == 429 {
        let seconds = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok());
        return Err(TooMany(seconds.and_then(|seconds| seconds.parse().ok())));
    }
    answer.into_body().read_to_string().map_err(|_| TooMany(None))
}

const POLICY: Policy = backoff::Config::exponential(Duration::from_millis(50))
    .cap(Duration::from_secs(5))
    .max_retries(3)
    .build_static();

fn main() -> Result<(), Failure> {
    let server = Server::http("127.0.0.1:0")?;
    let url = format!("http://{}/", server.server_addr());
    thread::spawn(move || {
        // A request each two seconds for a key, and two at once; up to 10,000 keys.
        let rate = Rate::new(1, Duration::from_secs(2));
        let limits = Keyed::new(Config::new(rate).burst(2), 10_000)?;
        server.incoming_requests().try_for_each(|request| answer(request, &limits))
    });

    let client = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    assert!(ask(&client, &url, "alice").is_ok() && ask(&client, &url, "alice").is_ok());
    let refused = ask(&client, &url, "alice");
    assert!(matches!(refused, Err(TooMany(Some(1..=2)))), "429, and Retry-After: {refused:?}");
    assert!(ask(&client, &url, "bob").is_ok(), "what alice does is nothing to bob");

    // A polite client: the delay is what the server says, and not a guess.
    let began = SystemClock.now();
    let asked = POLICY
        .retry(|_| ask(&client, &url, "alice"))
        .hint(|outcome| outcome.as_ref().err()?.0.map(Duration::from_secs))
        .wait();
    let waited = SystemClock.now().saturating_duration_since(began);
    println!("429, a wait of {waited:?}, and then: {}", asked.map_err(|_| "still refused")?);
    assert!(waited >= Duration::from_secs(1), "the client waited as long as it was told to");
    Ok(())
}
