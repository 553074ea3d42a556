//! Connections: requests come in, faults happen, answers are held to the description.

use std::io::BufReader;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::super::gcs::http;
use super::Call;
use super::Fault;
use super::ID;
use super::REPOSITORY;
use super::Shared;
use super::description;
use super::held;
use super::reply::Reply;
use super::reply::UNICORN;
use super::world::NOT_JSON;
use super::world::Request;
use super::world::World;

impl Shared {
    /// Serves one connection to its end.
    pub(super) fn serve(&self, stream: TcpStream) {
        let (Ok(client), Ok(kept)) = (stream.peer_addr(), stream.try_clone()) else { return };
        held(&self.connections).insert(client, kept);
        // A client that goes away in the middle of a call ends its connection, no more.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(self.converse(stream));
        }));
        // The last handle of it: now it is closed, or reset.
        drop(held(&self.connections).remove(&client));
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    }

    /// Answers the calls of one connection until either side ends it.
    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = http::Request::read(&mut reader, &mut stream)? {
            let path = named(&request.path);
            let read = Request {
                method: &request.method,
                path: &path,
                query: &request.query,
                headers: &request.headers,
                body: body(&request.body),
            };
            let mut call = call(&read);
            let fault = held(&self.world).arrive(&mut call);
            let Some(reply) = self.outcome(&read, &call, fault) else {
                // Without lingering, closing is a reset.
                return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            };
            let broken = fault == Some(Fault::BrokenBody);
            held(&self.world).log[call.number - 1].status = Some(reply.status);
            reply.written().send(&mut stream, false, broken)?;
            if broken {
                return stream.shutdown(std::net::Shutdown::Both);
            }
        }
        Ok(())
    }

    /// What is answered; none where the connection is reset.
    fn outcome(&self, request: &Request<'_>, call: &Call, fault: Option<Fault>) -> Option<Reply> {
        let documentation = description::find(request.method, request.path)
            .map_or("https://docs.github.com/rest", |(it, _)| it.documentation.as_str());
        let instead = match fault {
            Some(Fault::ResetBefore) => return None,
            Some(Fault::StallBefore(time)) => {
                thread::sleep(time);
                None
            }
            Some(Fault::Status(429)) => Some(held(&self.world).limits.secondary(429, None)),
            Some(Fault::Status(status)) => Some(Reply::failure(status, documentation)),
            Some(Fault::Secondary { status, retry_after }) => {
                Some(held(&self.world).limits.secondary(status, retry_after))
            }
            Some(Fault::Exhausted { status, seconds }) => {
                held(&self.world).limits.exhaust(status, seconds);
                None
            }
            _ => None,
        };
        let mut world = held(&self.world);
        let reply = instead.unwrap_or_else(|| world.answer(request));
        let reply = hold(&mut world, request, call, reply);
        drop(world);
        match fault {
            Some(Fault::ResetAfter) => None,
            Some(Fault::StatusAfter(status)) => Some(Reply::failure(status, documentation)),
            Some(Fault::NotJson) => Some(Reply { page: Some(UNICORN), ..reply }),
            Some(Fault::StallAfter(time)) => {
                thread::sleep(time);
                Some(reply)
            }
            _ => Some(reply),
        }
    }
}

/// Holds an answer to the description, and adds what every one has.
fn hold(world: &mut World, request: &Request<'_>, call: &Call, mut reply: Reply) -> Reply {
    let found = description::find(request.method, request.path);
    if let Some((operation, _)) = found.filter(|_| reply.page.is_none()) {
        let wrong = operation.wrong_answer(reply.status, &reply.body);
        if !wrong.is_empty() {
            let what = format!("this server's answer {}: {}", reply.status, wrong.join("; "));
            world.wrong(&what);
            panic!("{}: {what}", call.name);
        }
    }
    reply.headers.extend(world.limits.headers());
    reply.headers.push(("x-github-api-version-selected", "2022-11-28".to_owned()));
    reply.headers.push(("x-github-media-type", "github.v3; format=json".to_owned()));
    reply.headers.push(("x-github-request-id", format!("{:04X}:{:06X}", call.number, ID)));
    reply
}

/// The path with the repository's name also where a link of a page has its number.
fn named(path: &[String]) -> Vec<String> {
    match path {
        [repositories, id, rest @ ..]
            if repositories == "repositories" && *id == ID.to_string() =>
        {
            let name = REPOSITORY.split('/').map(str::to_owned);
            ["repos".to_owned()].into_iter().chain(name).chain(rest.iter().cloned()).collect()
        }
        other => other.to_vec(),
    }
}

fn body(bytes: &[u8]) -> Value {
    let read = serde_json::from_slice(bytes).unwrap_or_default();
    match (bytes, read) {
        ([], _) => Value::Null,
        (_, Value::Null) => Value::from(NOT_JSON),
        (_, read) => read,
    }
}

fn call(request: &Request<'_>) -> Call {
    let path: String = request.path.iter().map(|part| format!("/{part}")).collect();
    let name = description::find(request.method, request.path)
        .map_or_else(|| format!("{} {path}", request.method), |(it, _)| it.name.clone());
    Call {
        number: 0,
        name,
        path,
        query: request.query.clone(),
        body: request.body.clone(),
        status: None,
    }
}
