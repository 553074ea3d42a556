// The part of GitHub's published API description that the tests' GitHub is held to.
//
//     node tests/openapi.mjs api.github.com.json target/tools/github-openapi.json
//
// Why: the whole description is 13 MB of OpenAPI 3.0, which no JSON Schema validator reads as it
// stands. Kept are the calls below with all that they refer to, as JSON Schema 2020-12. Every object
// that lists its properties is closed: a key that GitHub does not describe is a mistake of whoever
// sends it, be it the program or the tests' GitHub.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const REPO = '/repos/{owner}/{repo}';
const CALLS = [
  `GET ${REPO}/issues/{issue_number}/comments`,
  `POST ${REPO}/issues/{issue_number}/comments`,
  `GET ${REPO}/issues/comments/{comment_id}`,
  `PATCH ${REPO}/issues/comments/{comment_id}`,
  `POST ${REPO}/issues/comments/{comment_id}/reactions`,
  `GET ${REPO}/issues/{issue_number}/labels`,
  `POST ${REPO}/issues/{issue_number}/labels`,
  `DELETE ${REPO}/issues/{issue_number}/labels/{name}`,
  `POST ${REPO}/check-runs`,
  `PATCH ${REPO}/check-runs/{check_run_id}`,
  `GET ${REPO}/commits/{ref}/check-runs`,
  `POST ${REPO}/statuses/{sha}`,
  `GET ${REPO}/commits/{ref}/statuses`,
  `GET ${REPO}/commits/{commit_sha}/pulls`,
  `GET ${REPO}/pulls`,
  `GET ${REPO}/pulls/{pull_number}`,
  `GET ${REPO}/pulls/{pull_number}/files`,
  `GET ${REPO}/pulls/{pull_number}/reviews`,
  `GET ${REPO}/collaborators/{username}/permission`,
  `GET ${REPO}/actions/runs/{run_id}`,
  'GET /orgs/{org}/teams/{team_slug}/memberships/{username}',
  'GET /user',
];

// Errors that GitHub answers everywhere, whatever the description lists for a call.
const ERRORS = { any: 'basic-error', 422: 'validation-error' };

const KEPT = new Set([
  '$ref', 'type', 'properties', 'required', 'items', 'enum', 'oneOf', 'anyOf', 'allOf', 'not',
  'additionalProperties', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems',
  'minProperties', 'maxProperties', 'uniqueItems', 'pattern', 'format',
]);
const DROPPED = new Set([
  'title', 'description', 'default', 'example', 'examples', 'deprecated', 'readOnly', 'writeOnly',
  'discriminator', 'externalDocs', 'xml', 'nullable',
]);

const mapped = (object, f) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, f(v)]));

function keyword(name, value) {
  if (name === 'properties') return mapped(value, schema);
  if (['oneOf', 'anyOf', 'allOf'].includes(name)) return value.map(schema);
  if (['items', 'not', 'additionalProperties'].includes(name)) {
    return typeof value === 'object' ? schema(value) : value;
  }
  return value;
}

function nullable(made) {
  if (made.type === undefined) return { anyOf: [made, { type: 'null' }] };
  const values = made.enum && !made.enum.includes(null) ? { enum: [...made.enum, null] } : {};
  return { ...made, ...values, type: [made.type, 'null'] };
}

/** A schema of OpenAPI 3.0 as JSON Schema. */
function schema(source) {
  const made = {};
  for (const [name, value] of Object.entries(source)) {
    if (KEPT.has(name)) made[name] = keyword(name, value);
    else if (!DROPPED.has(name) && !name.startsWith('x-')) throw new Error(`unknown keyword ${name}`);
  }
  // Branches without a type only narrow the object around them.
  if (made.type === 'object' && made.properties) made.additionalProperties ??= false;
  if (made.allOf && made.additionalProperties === false) throw new Error('closed beside allOf');
  return source.nullable ? nullable(made) : made;
}

const [from, to] = process.argv.slice(2);
if (!to) throw new Error('usage: openapi.mjs DESCRIPTION TARGET');
const description = JSON.parse(readFileSync(from, 'utf8'));

const resolved = (it) =>
  it.$ref ? resolved(it.$ref.slice(2).split('/').reduce((at, key) => at[key], description)) : it;
const json = (it) => it?.content?.['application/json']?.schema;

function call(name) {
  const [method, path] = name.split(' ');
  const found = description.paths[path];
  const operation = found?.[method.toLowerCase()];
  if (!operation) throw new Error(`the description has no ${name}`);
  const parameters = [...(found.parameters ?? []), ...(operation.parameters ?? [])]
    .map(resolved)
    .filter((it) => ['path', 'query'].includes(it.in))
    .map((it) => ({ in: it.in, name: it.name, required: it.required ?? false, schema: schema(it.schema) }));
  const body = operation.requestBody && resolved(operation.requestBody);
  return {
    documentation: operation.externalDocs.url,
    parameters,
    body: body ? { required: body.required ?? false, schema: schema(json(body)) } : null,
    responses: mapped(operation.responses, (it) => {
      const content = json(resolved(it));
      return content ? schema(content) : 'empty';
    }),
  };
}

const calls = Object.fromEntries(CALLS.map((name) => [name, call(name)]));
const errors = mapped(ERRORS, (name) => ({ $ref: `#/components/schemas/${name}` }));

// Everything that is referred to, and what that refers to.
const schemas = {};
const open = [calls, errors];
while (open.length) {
  const it = open.pop();
  const name = it.$ref?.replace('#/components/schemas/', '');
  if (name && !schemas[name]) {
    schemas[name] = schema(description.components.schemas[name]);
    open.push(schemas[name]);
  }
  open.push(...Object.values(it).filter((value) => value && typeof value === 'object'));
}

mkdirSync(dirname(to), { recursive: true });
const text = JSON.stringify({ version: description.info.version, calls, errors, components: { schemas } });
// Whole or not at all.
writeFileSync(`${to}.new`, text);
renameSync(`${to}.new`, to);
