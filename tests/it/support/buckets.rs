//! The buckets of the tests' storage service: what is in them, and how a call on them ends.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use serde_json::json;

use super::Call;
use super::PACE;
use super::Stored;
use super::World;
use super::http::Answer;
use super::http::Request;

impl World {
    /// Decides a write, in the order in which the real one does.
    pub(super) fn write(&mut self, call: &Call, upload: &Upload) -> Answer {
        let Some(bucket) = self.buckets.get(&call.bucket) else { return no_bucket() };
        let (state, found) = (bucket.state, bucket.objects.get(&call.object));
        let (current, last) = (found.map_or(0, |it| it.generation), found.map(|it| it.at));
        if let Some(what) = wrong_name(&call.object) {
            self.violation(call, what);
            return Answer::error(400, "invalid", what);
        }
        if state && call.expects.is_none() {
            self.violation(call, "a write without ifGenerationMatch");
            return Answer::error(400, "required", "Required parameter: ifGenerationMatch");
        }
        if call.expects.is_some_and(|expected| expected != current) {
            let what = "At least one of the pre-conditions you specified did not hold.";
            return Answer::error(412, "conditionNotMet", what);
        }
        if state && !self.unlimited && last.is_some_and(|at| at.elapsed() < PACE) {
            self.violation(call, "more than one write a second");
            let what = format!(
                "The object {}/{} exceeded the rate limit for object mutation operations",
                call.bucket, call.object
            );
            return Answer::error(429, "rateLimitExceeded", &what);
        }
        if upload.crc32c.as_ref().is_some_and(|sent| *sent != crc32c(&upload.bytes)) {
            return Answer::error(400, "invalid", "Provided CRC32C doesn't match the content.");
        }
        self.commit(&call.bucket, &call.object, &upload.bytes, &upload.content_type);
        Answer::json(200, &self.resource(&call.bucket, &call.object).unwrap())
    }

    pub(super) fn find(&self, call: &Call, request: &Request) -> Result<&Stored, Answer> {
        let bucket = self.buckets.get(&call.bucket).ok_or_else(no_bucket)?;
        let found = bucket.objects.get(&call.object);
        let asked = request.query.get("generation").and_then(|it| it.parse().ok());
        let found = found.filter(|it| asked.is_none_or(|asked: u64| asked == it.generation));
        let what = || format!("No such object: {}/{}", call.bucket, call.object);
        let found = found.ok_or_else(|| Answer::error(404, "notFound", &what()))?;
        match call.expects {
            Some(expected) if expected != found.generation => {
                let what = "At least one of the pre-conditions you specified did not hold.";
                Err(Answer::error(412, "conditionNotMet", what))
            }
            _ => Ok(found),
        }
    }

    pub(super) fn resource(&self, bucket: &str, object: &str) -> Option<Value> {
        let it = self.buckets.get(bucket)?.objects.get(object)?;
        let generation = it.generation.to_string();
        Some(json!({
            "kind": "storage#object",
            "id": format!("{bucket}/{object}/{generation}"),
            "name": object,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": it.content_type,
            "storageClass": "STANDARD",
            "size": it.bytes.len().to_string(),
            "md5Hash": md5(&it.bytes),
            "crc32c": crc32c(&it.bytes),
            "etag": format!("C{generation}="),
            "timeCreated": it.updated.to_string(),
            "timeFinalized": it.updated.to_string(),
            "timeStorageClassUpdated": it.updated.to_string(),
            "updated": it.updated.to_string(),
        }))
    }

    pub(super) fn list(&self, call: &Call, request: &Request) -> Answer {
        let Some(bucket) = self.buckets.get(&call.bucket) else { return no_bucket() };
        let prefix = request.query.get("prefix").map_or("", String::as_str);
        let after = request.query.get("pageToken").map_or("", String::as_str);
        let most = request.query.get("maxResults").and_then(|it| it.parse().ok());
        let most: usize = most.unwrap_or(1000).clamp(1, 1000);
        let mut names =
            bucket.objects.keys().filter(|it| it.starts_with(prefix) && it.as_str() > after);
        let page: Vec<&String> = names.by_ref().take(most).collect();
        let items: Vec<Value> =
            page.iter().filter_map(|it| self.resource(&call.bucket, it)).collect();
        let mut answer = json!({"kind": "storage#objects", "items": items});
        if let Some(last) = page.last().filter(|_| names.next().is_some()) {
            answer["nextPageToken"] = json!(last);
        }
        Answer::json(200, &answer)
    }

    /// Finds a bucket, or makes one.
    pub(super) fn bucket(&mut self, call: &Call, request: &Request) -> Answer {
        let mut name = call.bucket.clone();
        if call.method == "POST" {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            name = body["name"].as_str().unwrap_or_default().to_owned();
            if name.len() < 3 {
                return Answer::error(400, "invalid", "Invalid bucket name.");
            }
            if self.buckets.contains_key(&name) {
                return Answer::error(409, "conflict", "You already own this bucket.");
            }
            self.open(&name, false);
        }
        if !self.buckets.contains_key(&name) {
            return no_bucket();
        }
        Answer::json(
            200,
            &json!({
                "kind": "storage#bucket", "id": name, "name": name, "metageneration": "1",
                "location": "US", "storageClass": "STANDARD", "projectNumber": "0",
            }),
        )
    }
}

/// What is wrong with an object's name, if anything.
fn wrong_name(name: &str) -> Option<&'static str> {
    match name {
        "" | "." | ".." => Some("The object's name is not allowed."),
        _ if name.len() > 1024 => Some("The object's name is longer than 1024 bytes."),
        _ if name.contains(['\r', '\n']) => Some("The object's name contains a line end."),
        _ if name.starts_with(".well-known/acme-challenge/") => {
            Some("The object's name is not allowed.")
        }
        _ => None,
    }
}

pub(super) fn crc32c(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(crc32c::crc32c(bytes).to_be_bytes())
}

pub(super) fn md5(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(md5::compute(bytes).0)
}

pub(super) fn no_bucket() -> Answer {
    Answer::error(404, "notFound", "The specified bucket does not exist.")
}

/// What an upload brings.
pub(super) struct Upload {
    pub(super) name: String,
    content_type: String,
    crc32c: Option<String>,
    bytes: Vec<u8>,
}

impl Request {
    /// What an upload brings, in either of its two forms.
    pub(super) fn upload(&self) -> Result<Upload, Answer> {
        let kind = self.headers.get("content-type").cloned().unwrap_or_default();
        let name = self.query.get("name").cloned();
        match self.query.get("uploadType").map(String::as_str) {
            Some("media") => {
                let name = name.unwrap_or_default();
                Ok(Upload { name, content_type: kind, crc32c: None, bytes: self.body.clone() })
            }
            Some("multipart") => self.multipart(&kind, name).ok_or_else(|| {
                Answer::error(400, "badContent", "The multipart body cannot be read.")
            }),
            _ => Err(Answer::error(400, "invalid", "uploadType must be media or multipart.")),
        }
    }

    /// Takes a body of two parts apart: what the object is, and its content.
    fn multipart(&self, kind: &str, name: Option<String>) -> Option<Upload> {
        let boundary = kind.split_once("boundary=")?.1.split(';').next()?.trim_matches(['"', '\'']);
        let mark = format!("--{boundary}");
        let body = self.body.trim_ascii_end();
        let body = body.strip_suffix(format!("\r\n{mark}--").as_bytes())?;
        let body = &body[find(body, mark.as_bytes())? + mark.len()..];
        let next = format!("\r\n{mark}");
        let at = find(body, next.as_bytes())?;
        let (_, first) = part(&body[..at])?;
        let (head, bytes) = part(&body[at + next.len()..])?;
        let resource: Value = serde_json::from_slice(first).ok()?;
        let text = |key: &str| resource[key].as_str().map(str::to_owned);
        let sent = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        });
        Some(Upload {
            name: name.or_else(|| text("name"))?,
            content_type: text("contentType").or(sent).unwrap_or_default(),
            crc32c: text("crc32c"),
            bytes: bytes.to_vec(),
        })
    }
}

/// A part's headers and its content.
fn part(part: &[u8]) -> Option<(String, &[u8])> {
    let end = find(part, b"\r\n\r\n")?;
    Some((String::from_utf8(part[..end].to_vec()).ok()?, &part[end + 4..]))
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|it| it == needle)
}
