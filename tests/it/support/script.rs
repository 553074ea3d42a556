//! A server that answers by a script: one step for each request, in order, and every request
//! kept. For what is about the wire alone; it knows nothing of what it is asked.

use std::collections::VecDeque;
use std::io::BufReader;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::gcs::http::Answer;
use super::gcs::http::Request;

/// How one request ends.
pub(crate) enum Step {
    /// With this answer.
    Answer(Answer),
    /// With an answer that breaks off in the middle of its body.
    Broken(Answer),
    /// With a reset of the connection.
    Reset,
    /// With nothing, for this long, and then a reset.
    Stall(Duration),
    /// With what is made of the request.
    Made(fn(&Request) -> Answer),
}

/// An answer with headers.
pub(crate) fn with(status: u16, headers: &[(&'static str, &str)], body: &str) -> Step {
    Step::Answer(answer(status, headers, body))
}

/// An answer without.
pub(crate) fn just(status: u16, body: &str) -> Step {
    with(status, &[], body)
}

pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Answer { status, headers, body: body.as_bytes().to_vec() }
}

#[derive(Default)]
struct Play {
    steps: VecDeque<Step>,
    requests: Vec<Request>,
    /// Requests that no step was left for.
    surplus: usize,
}

/// The server.
pub(crate) struct Script {
    endpoint: String,
    play: Arc<Mutex<Play>>,
}

impl Script {
    /// Starts one that answers with steps, which may name its address.
    pub(crate) fn start(steps: impl FnOnce(&str) -> Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let steps = steps(&endpoint).into();
        let play = Arc::new(Mutex::new(Play { steps, ..Play::default() }));
        let played = Arc::clone(&play);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let play = Arc::clone(&played);
                thread::spawn(move || serve(&play, stream));
            }
        });
        Self { endpoint, play }
    }

    /// Its address, without a path.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Every request that came; all steps must have been played, and none been missing.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let mut play = self.play.lock().unwrap();
        assert_eq!((play.steps.len(), play.surplus), (0, 0), "steps left, requests too many");
        std::mem::take(&mut play.requests)
    }
}

fn serve(play: &Mutex<Play>, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut reader, &mut stream)? {
        let step = {
            let mut play = play.lock().unwrap();
            let step = play.steps.pop_front();
            play.surplus += usize::from(step.is_none());
            step
        };
        let made = match &step {
            Some(Step::Made(make)) => Some(make(&request)),
            _ => None,
        };
        play.lock().unwrap().requests.push(request);
        match step {
            Some(Step::Answer(answer)) => answer.send(&mut stream, false, false)?,
            Some(Step::Made(_)) => made.unwrap().send(&mut stream, false, false)?,
            Some(Step::Broken(answer)) => {
                answer.send(&mut stream, false, true)?;
                return stream.shutdown(std::net::Shutdown::Both);
            }
            Some(Step::Stall(time)) => {
                thread::sleep(time);
                return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            // Without lingering, closing is a reset.
            Some(Step::Reset) | None => {
                return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
        }
    }
    Ok(())
}
